//! Two real Penguins 0.9.3, joined to Link by the Python bridge: one is killed in the middle of its work, the other
//! finishes it. Needs `tests/penguin/install.sh` once, `LINK_REAL_PENGUIN=1` and `LINK_PYTHON_CLIENT=1`.

use serde_json::{Value, json};

use crate::support::{
    node::TestProcess,
    person::{Person, id},
    python::{self, Program},
    real_penguin::{ALONE, ORDINARY, OnePenguin, wanted},
    socket::Socket,
};

fn words() -> String {
    (0..30).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_real_penguins_one_is_killed_in_the_middle_and_the_other_finishes() {
    if !wanted() || !python::wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let penguins = tokio::task::spawn_blocking(|| {
        python::python();
        [OnePenguin::start(1), OnePenguin::start(2)]
    });
    let penguins = penguins.await.expect("they start");
    let node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let (agent, key) = ada.peer(&workspace, "Colony").await;
    let _bridges = [0, 1].map(|nth| {
        let name = format!("penguin-{nth}");
        let arguments =
            ["-m", "link_agent", "penguin", "--url", &penguins[nth].url, "--link", &node.url, "--name", &name];
        Program::start(&arguments, &[("LINK_AGENT_KEY", &key), ("PENGUIN_API_KEY", ORDINARY.1)])
    });
    let both = |agent: &Value| {
        let instances = agent["instances"].as_array().expect("a list");
        instances.len() == 2 && instances.iter().all(|instance| instance["healthy"] == true)
    };
    let instances = ada.until(&format!("/agents/{agent}"), "both are there", both).await["instances"].clone();

    let description = "Do it [[tool:write_file {\"path\":\"two.txt\",\"content\":\"one\"}]] [[words:30]] [[delay:0.3]]";
    let body = json!({"title": "Write the checklist", "description": description});
    let task = id(&ada.post(&format!("/projects/{project}/tasks"), body).await);
    let mut watching = Socket::subscribed(&ada, &workspace, None).await;
    let delegation = ada.delegate(&task, &agent).await;
    let running = ada.until_delegation(&delegation, &["running"]).await;
    while watching.until("signal").await["type"] != "task:output" {}
    let at = &running["attempts"][0]["instance_id"];
    let instance =
        instances.as_array().expect("a list").iter().find(|one| one["id"] == *at).expect("it is one of both");
    let victim = usize::from(instance["url"] == "peer:penguin-1");
    penguins[victim].kill();

    // First the bridge asks for a while whether its Penguin is really gone.
    let lost = watching.until_event("attempt:lost").await;
    assert_eq!(lost["data"]["class"], "instance_lost");
    watching.until_event("delegation:reviewing").await;
    let handed_in = ada.get(&format!("/delegations/{delegation}")).await;
    assert_eq!(handed_in["output"], words(), "{handed_in:#}");
    let attempts = handed_in["attempts"].as_array().expect("a list");
    assert_eq!(attempts.last().expect("there are some")["status"], "succeeded");
    assert_ne!(attempts.last().expect("there are some")["instance_id"], *at);
    let made = ada.get(&format!("/delegations/{delegation}/artifacts")).await;
    let files = made["items"].as_array().expect("a list").iter().filter(|one| one["kind"] == "file").count();
    assert!(files >= 1, "{made:#}");
}
