BEGIN TRANSACTION;
CREATE TABLE answers (
	id INTEGER NOT NULL, 
	purchase TEXT NOT NULL, 
	raw BLOB NOT NULL, 
	received_at INTEGER NOT NULL, 
	billed INTEGER, 
	ticket TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
INSERT INTO "answers" VALUES(1,'906957df58605e914c2826731feaffa0d4ad046403b99197484c5555717e5edb',X'789CAB562A49AD2851B25250CAC854AA050022B90471',1795341600000000,3000,'task-1');
CREATE TABLE asks (
	id INTEGER NOT NULL, 
	ask_id TEXT NOT NULL, 
	recording INTEGER NOT NULL, 
	purchase TEXT NOT NULL, 
	engine TEXT NOT NULL, 
	model TEXT NOT NULL, 
	path BLOB NOT NULL, 
	asked_at INTEGER NOT NULL, 
	audio INTEGER, 
	outcome TEXT NOT NULL, 
	outcome_at INTEGER, 
	billed INTEGER, 
	PRIMARY KEY (id), 
	CHECK (outcome IN ('open', 'accepted', 'answered', 'refused', 'unsent', 'lost', 'not_accepted', 'again'))
)
 STRICT

;
INSERT INTO "asks" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'906957df58605e914c2826731feaffa0d4ad046403b99197484c5555717e5edb','some-engine','some-model',X'2F696E2F74616C6B2E776176',1795341600000000,3000,'answered',1795341600000000,3000);
INSERT INTO "asks" VALUES(2,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'6e72ff044bc90291569c4bdfb333f3a913992c67611fae294d3271615c6f561a','some-engine','some-model',X'2F696E2F63616C6C2E776176',1795341600000000,3000,'open',NULL,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	recording INTEGER NOT NULL, 
	at INTEGER NOT NULL, 
	from_state TEXT, 
	to_state TEXT NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(recording) REFERENCES recordings (id)
)
 STRICT

;
INSERT INTO "events" VALUES(1,1,1795341600000000,NULL,'settled','settled');
INSERT INTO "events" VALUES(2,1,1795341600000000,'settled','staged','');
INSERT INTO "events" VALUES(3,1,1795341600000000,'staged','asking','');
INSERT INTO "events" VALUES(4,1,1795341600000000,'asking','submitted','');
INSERT INTO "events" VALUES(5,1,1795341600000000,'submitted','transcribed','');
INSERT INTO "events" VALUES(6,1,1795341600000000,'transcribed','delivered','');
INSERT INTO "events" VALUES(7,2,1795341600000000,NULL,'settled','settled');
INSERT INTO "events" VALUES(8,2,1795341600000000,'settled','staged','');
INSERT INTO "events" VALUES(9,2,1795341600000000,'staged','asking','');
CREATE TABLE forgotten (
	path BLOB NOT NULL, 
	device INTEGER NOT NULL, 
	inode INTEGER NOT NULL, 
	size INTEGER NOT NULL, 
	mtime_ns INTEGER NOT NULL, 
	at INTEGER NOT NULL, 
	PRIMARY KEY (path)
)
 STRICT

;
CREATE TABLE holds (
	scope TEXT NOT NULL, 
	since INTEGER NOT NULL, 
	until INTEGER NOT NULL, 
	times INTEGER NOT NULL, 
	trouble TEXT NOT NULL, 
	key_digest TEXT, 
	code TEXT NOT NULL, 
	message TEXT NOT NULL, 
	advice TEXT NOT NULL, 
	PRIMARY KEY (scope)
)
 STRICT

;
CREATE TABLE outputs (
	path BLOB NOT NULL, 
	recording INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	format TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	PRIMARY KEY (path), 
	FOREIGN KEY(recording) REFERENCES recordings (id)
)
 STRICT

;
INSERT INTO "outputs" VALUES(X'2F696E2F74616C6B2E7761762E747874',1,0,'txt','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd');
CREATE TABLE recordings (
	id INTEGER NOT NULL, 
	inbox TEXT NOT NULL, 
	path BLOB NOT NULL, 
	device INTEGER NOT NULL, 
	inode INTEGER NOT NULL, 
	size INTEGER NOT NULL, 
	mtime_ns INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	found_at INTEGER NOT NULL, 
	changed_at INTEGER NOT NULL, 
	due INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	engines_refused TEXT NOT NULL, 
	trouble TEXT, 
	sha256 TEXT, 
	purchase TEXT, 
	engine TEXT, 
	reading TEXT, 
	ask_id TEXT, 
	staging TEXT, 
	asked_at INTEGER, 
	asking TEXT, 
	ticket TEXT, 
	submitted_at INTEGER, 
	answer INTEGER, 
	delivered_at INTEGER, 
	original BLOB, 
	failure TEXT, 
	PRIMARY KEY (id), 
	CHECK (state IN ('settled', 'staged', 'asking', 'submitted', 'transcribed', 'delivered', 'failed', 'parked')), 
	CHECK (state NOT IN ('staged', 'asking', 'submitted', 'transcribed', 'delivered') OR (sha256 IS NOT NULL AND purchase IS NOT NULL AND engine IS NOT NULL AND reading IS NOT NULL)), 
	CHECK (state NOT IN ('staged', 'asking', 'submitted') OR (ask_id IS NOT NULL AND staging IS NOT NULL)), 
	CHECK (state NOT IN ('asking', 'submitted') OR (asked_at IS NOT NULL AND asking IS NOT NULL)), 
	CHECK (state NOT IN ('submitted') OR (ticket IS NOT NULL AND submitted_at IS NOT NULL)), 
	CHECK (state NOT IN ('transcribed', 'delivered') OR (answer IS NOT NULL)), 
	CHECK (state NOT IN ('delivered') OR (delivered_at IS NOT NULL)), 
	CHECK (state NOT IN ('failed', 'parked') OR (failure IS NOT NULL)), 
	CHECK ((failure IS NOT NULL) = (state IN ('failed', 'parked'))), 
	FOREIGN KEY(answer) REFERENCES answers (id)
)
 STRICT

;
INSERT INTO "recordings" VALUES(1,'inbox',X'2F696E2F74616C6B2E776176',1,2,3,4,'delivered',1795341600000000,1795341600000000,1795341600000000,1,'[]',NULL,'abababababababababababababababababababababababababababababababab','906957df58605e914c2826731feaffa0d4ad046403b99197484c5555717e5edb','some-engine','{"sha256":"abababababababababababababababababababababababababababababababab","facts":{"container":"wav","codec":"pcm","duration":"PT3S","sample_rate":null,"channels":1},"plan":{"engine":"some-engine","model":"some-model","preparation":"as_it_is","options":{"language":"en"},"left_out":[],"reasons":["why"]}}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"ask_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","url":"oss://bucket/key","url_expires":null}',1795341600000000,'{"asked_at":"2026-11-22T10:00:00Z","who":"test"}','task-1',1795341600000000,1,1795341600000000,X'2F696E2F74616C6B2E776176',NULL);
INSERT INTO "recordings" VALUES(2,'inbox',X'2F696E2F63616C6C2E776176',1,2,3,4,'asking',1795341600000000,1795341600000000,1795341600000000,1,'[]',NULL,'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','6e72ff044bc90291569c4bdfb333f3a913992c67611fae294d3271615c6f561a','some-engine','{"sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","facts":{"container":"wav","codec":"pcm","duration":"PT3S","sample_rate":null,"channels":1},"plan":{"engine":"some-engine","model":"some-model","preparation":"as_it_is","options":{"language":"en"},"left_out":[],"reasons":["why"]}}','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"ask_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","url":"oss://bucket/key","url_expires":null}',1795341600000000,'{"asked_at":"2026-11-22T10:00:00Z","who":"test"}',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX ix_answers_purchase ON answers (purchase);
CREATE INDEX ix_asks_recording ON asks (recording);
CREATE INDEX recordings_by_due ON recordings (state, due);
CREATE INDEX recordings_by_path ON recordings (path);
CREATE UNIQUE INDEX recordings_being_bought ON recordings (purchase) WHERE state IN ('asking', 'submitted');
CREATE UNIQUE INDEX recordings_by_ticket ON recordings (ticket) WHERE ticket IS NOT NULL;
CREATE INDEX recordings_by_purchase ON recordings (purchase);
CREATE INDEX ix_outputs_recording ON outputs (recording);
CREATE INDEX ix_events_recording ON events (recording);
COMMIT;
PRAGMA user_version = 1;
