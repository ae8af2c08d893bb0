-- Callers are shown webhooks and their deliveries; neither holds a secret.
GRANT SELECT ON webhooks, webhook_cursors, webhook_deliveries TO link_tenant;
