//! The schema's history. A file that has landed is never edited: the next change is the next file.

use sqlx::{
    PgPool, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        vec![$(Migration::new(
            $version,
            $name.into(),
            MigrationType::Simple,
            include_str!(concat!("../../migrations/", $name, ".sql")).into_sql_str(),
            false,
        )),+]
    };
}

/// Brings the database to this version of Link; does nothing when it is there.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let history = migrations![
        1 "0001_log",
        2 "0002_people",
        3 "0003_projections",
        4 "0004_credentials",
        5 "0005_access",
        6 "0006_webhooks",
        9 "0009_tenant_wall",
        10 "0010_conversations",
        11 "0011_webhooks_behind_the_wall",
        12 "0012_instance_standing",
        13 "0013_recovery",
        14 "0014_peer_skills",
        15 "0015_documents",
        16 "0016_claims",
        17 "0017_people_who_are_asked",
        18 "0018_clocks",
        19 "0019_checkpoints",
        20 "0020_decision_rights",
        21 "0021_hand_offs",
        22 "0022_fan_outs",
        23 "0023_teams",
        24 "0024_nudges",
        25 "0025_skills_of_tasks",
    ];
    Migrator::with_migrations(history).run(pool).await
}
