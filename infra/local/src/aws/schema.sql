-- Times are milliseconds since 1970.

CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY
) WITHOUT ROWID;

-- `file` names the body under objects/; a file without a row is no object and is removed at the next start.
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    checksums TEXT NOT NULL,
    headers TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    headers TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    checksums TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;

-- In flight is `receipt` set and `visible_at` in the future: a message reappears by itself, restart or not.
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    first_received_at INTEGER,
    receive_count INTEGER NOT NULL DEFAULT 0,
    receipt TEXT,
    source TEXT
);
CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (queue, visible_at);

-- Dead letters that were put back. Without a destination they went to where they had come from.
CREATE TABLE IF NOT EXISTS move_tasks (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    handle TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT,
    rate INTEGER,
    moved INTEGER NOT NULL,
    started_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS secrets (
    name TEXT PRIMARY KEY,
    arn TEXT NOT NULL UNIQUE,
    description TEXT,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    deleted_at INTEGER,
    delete_after INTEGER
) WITHOUT ROWID;

-- `value` is the JSON of SecretString or SecretBinary, one of them.
CREATE TABLE IF NOT EXISTS secret_versions (
    secret TEXT NOT NULL REFERENCES secrets (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (secret, id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS secret_stages (
    secret TEXT NOT NULL,
    stage TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (secret, stage),
    FOREIGN KEY (secret, version) REFERENCES secret_versions (secret, id) ON DELETE CASCADE
) WITHOUT ROWID;

-- How far each consumer of a stream has come.
CREATE TABLE IF NOT EXISTS stream_positions (
    consumer TEXT PRIMARY KEY,
    sequence TEXT NOT NULL
) WITHOUT ROWID;

-- What was put to the event buses.
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    bus TEXT NOT NULL,
    event TEXT NOT NULL,
    put_at INTEGER NOT NULL
);
