// Made by `link typescript` from Link's operation table. Do not edit: change the table and make it again.

import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
  TRPCSubscriptionProcedure,
} from '@trpc/server';

type Query<I, O> = TRPCQueryProcedure<{ meta: unknown; input: I; output: O }>;
type Mutation<I, O> = TRPCMutationProcedure<{ meta: unknown; input: I; output: O }>;
type Subscription<I, O> = TRPCSubscriptionProcedure<{ meta: unknown; input: I; output: O }>;

/** One page of a list; without `next_cursor` it is the last one. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** What `error.shape` of a `TRPCClientError` looks like; `data.problem` says what happened and what to do. */
export type ErrorShape = TRPCDefaultErrorShape & { data: { problem: Problem } };

/** Every `code` of a problem. */
export type ProblemCode = "invalid_input" | "malformed" | "too_large" | "unsupported_media_type" | "unauthenticated" | "bad_credentials" | "forbidden" | "not_found" | "no_such_operation" | "method_not_allowed" | "already_exists" | "name_taken" | "invalid_transition" | "version_conflict" | "dependency_cycle" | "busy" | "fenced" | "no_slot" | "idempotency_key_reused" | "too_many_requests" | "unavailable" | "internal";

/** An AI agent as a member of a workspace. */
export type AgentId = string;

/** What others see of an agent. */
export type AgentStatus = "idle" | "working" | "paused" | "draining" | "degraded" | "offline" | "retired";

/** An agent. */
export interface AgentView {
  /** Whether it takes work. */
  availability: Availability;
  /** Since when. */
  created_at: string;
  /** Its id. */
  id: AgentId;
  /** Its servers. */
  instances: InstanceView[];
  /** Most attempts at the same time. */
  max_concurrency: number;
  /** Its name. */
  name: string;
  /** How it is driven. */
  runtime: RuntimeKind;
  /** What it is good at. */
  skills: string[];
  /** What it does now. */
  status: AgentStatus;
  /** Rises with each change. */
  version: number;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** Something that an attempt produced. */
export type ArtifactId = string;

/** Something that an attempt made or changed. */
export interface ArtifactView {
  /** By which attempt. */
  attempt_id: AttemptId;
  /** The content, where it is small text. */
  content: string | null;
  /** Anything else. */
  details: unknown;
  /** Its id. */
  id: ArtifactId;
  /** `file`, `text`, `diff` or `link`. */
  kind: string;
  /** Path or title. */
  name: string;
  /** When. */
  recorded_at: string;
}

/** What a delegation produced. */
export interface Artifacts {
  items: ArtifactView[];
}

/** One attempt, as it was found and as it is now. */
export interface Attempt {
  attempt_id: AttemptId;
  /** The attempt's status before the question. */
  before: string;
  delegation_id: DelegationId;
  /** In words. */
  detail: string;
  /** What the Penguin says. */
  found: Found;
  instance_id: InstanceId;
  /** The attempt's status now. */
  status: string;
  task_id: TaskId;
}

/** One try of a delegation on one instance; users see it as an agent session. */
export type AttemptId = string;

/** An attempt of a delegation. */
export interface AttemptView {
  /** By whom. */
  agent_id: AgentId;
  /** Cost in US dollars. */
  cost_usd: number;
  /** Until when. */
  ended_at: string | null;
  /** How it failed. */
  failure_class: FailureClass | null;
  /** In words. */
  failure_message: string | null;
  /** Its fence. */
  fence: number;
  /** Its id. */
  id: AttemptId;
  /** Tokens read by the model. */
  input_tokens: number;
  /** Where. */
  instance_id: InstanceId;
  /** What it handed in when it no longer counted: kept, never applied. */
  late_result: string | null;
  /** What was done about its failure, and why. */
  next_step: Step | null;
  /** How often it was told that it does not move, or could not be told. */
  nudges: number;
  /** Tokens written by the model. */
  output_tokens: number;
  /** What it was told, as the SHA-256 of the whole text. */
  pack_hash: string | null;
  /** About how many tokens that was. */
  pack_tokens: number | null;
  /** What it does, in a word. */
  phase: string | null;
  /** 0–100 from evidence, or unknown. */
  progress: number | null;
  /** Why this agent and this instance. */
  route: Route;
  /** Since when. */
  started_at: string;
  /** leased, active, succeeded, failed, lost, cancelled or superseded. */
  status: "leased" | "active" | "succeeded" | "failed" | "lost" | "cancelled" | "superseded";
  /** It no longer counts, and its agent is still being told to stop. */
  stopping: boolean;
}

/** Whether a person wants the agent to take work. */
export type Availability = "active" | "paused" | "draining" | "retired";

/** Where a new task starts. */
export type Birth = "backlog" | "ready";

/** Whom a failure is charged to; only competence says something about an agent's skill. */
export type Blame = "infrastructure" | "competence" | "specification" | "policy" | "coordination" | "person" | "unknown";

/** A project's board. */
export interface BoardView {
  /** The columns, in order. */
  columns: ColumnView[];
  /** The workspace's offset that the board shows at least. */
  offset: number;
  /** Which project. */
  project_id: ProjectId;
}

/** Where a branch begins. */
export interface BranchPoint {
  /** The last message that both have. */
  message_id: MessageId;
  /** Of which conversation. */
  parent_id: ConversationId;
  /** Its number. */
  seq: number;
}

/** An agent that could take the work. */
export interface Candidate {
  /** Who. */
  agent: AgentId;
  /** The expected reward. */
  mean: number;
  /** With which model. */
  model: string | null;
  /** Results that it rests on; old ones count less. */
  n: number;
  /** How likely it was. */
  propensity: number;
  /** It has worked on this before, which counts for it. */
  same: boolean;
  /** What was drawn for it, or its careful value; none where a person chose. */
  sampled: number | null;
  /** How unsure that is. */
  sd: number;
  /** It got worse not long ago and gets little work. */
  worse: boolean;
}

/** What became of a proposed change. */
export type ChangeStatus = "open" | "accepted" | "declined";

/** A state of a task that it can go back to. */
export type CheckpointId = string;

/** Why a checkpoint was made. */
export type CheckpointReason = "manual" | "attempt_started" | "submitted" | "risky_step" | "rollback";

/** A state of a task that it can go back to. */
export interface CheckpointView {
  /** Its id. */
  id: CheckpointId;
  /** When. */
  made_at: string;
  /** Who made it, or whose attempt. */
  made_by: Principal;
  /** What it is made of. */
  manifest: Manifest;
  /** Its name, where somebody gave it one. */
  name: string | null;
  /** Why it was made. */
  reason: CheckpointReason;
  /** Of which task. */
  task_id: TaskId;
}

/** What becomes of parts that are open when the join is decided, or when their task ends. */
export type ChildPolicy = "terminate" | "request_cancel" | "abandon";

/** What is decided. */
export type Chosen = {
  answer: {
    /** How: as with `delegation.answer`. */
    answer: unknown;
    /** Which. */
    interrupt_id: InterruptId;
  };
} | {
  review: {
    /** Why. */
    comment?: string;
    /** How. */
    verdict: Verdict;
  };
};

/** A column of a board. */
export interface ColumnView {
  /** backlog, todo, in_progress, review, done or cancelled. */
  name: "backlog" | "todo" | "in_progress" | "review" | "done" | "cancelled";
  /** Its tasks, in order. */
  tasks: TaskView[];
}

/** Two decisions about the same thing, both of which stand until somebody decides again. */
export interface Conflict {
  /** How it was decided before. */
  here: string[];
  /** About what. */
  key: string;
  /** How the branch decided. */
  there: string;
}

/** A conversation. */
export type ConversationId = string;

/** What a conversation is for. */
export type ConversationKind = "channel" | "dm" | "task" | "agent_session" | "review";

/** A conversation. */
export interface ConversationView {
  /** Where it begins, if it is a branch. */
  branch: BranchPoint | null;
  /** Since when. */
  created_at: string;
  /** Its id. */
  id: ConversationId;
  /** The number of the newest message. */
  last_seq: number;
  /** The conversation that the branch was merged into; it takes no more messages. */
  merged_into: ConversationId | null;
  /** Who is in it. */
  participants: Principal[];
  /** The project that it is about. */
  project_id: ProjectId | null;
  /** How far its participants have read. */
  reads: ReadView[];
  /** The task that it is about. */
  task_id: TaskId | null;
  /** Its title. */
  title: string | null;
  /** What becomes of messages to an agent that is busy. */
  turn_policy: TurnPolicy;
  /** What for. */
  type: ConversationKind;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** Something that was decided: about what, and how. */
export interface Decided {
  /** About what. */
  key: string;
  /** How. */
  value: string;
}

/** What can be decided on somebody's behalf. */
export type Decides = "question" | "approval" | "review";

/** Why an agent and an instance were chosen, so that it can be done again. */
export interface Decision {
  /** Who could take it. */
  candidates: Candidate[];
  /** Who could not, and why. */
  filtered: Filtered[];
  /** Where the chosen one could do it. */
  instances: Offered[];
  /** The kind of work: the project. */
  kind: ProjectId | null;
  /** How the agent was chosen. */
  mode: Mode;
  /** How likely this agent and this instance were; 1 where a person named the agent. */
  propensity: number;
  /** What all draws came from. */
  seed: number;
}

/** One request to move one task forward with an agent. */
export type DelegationId = string;

/** Where a delegation stands. */
export type DelegationStatus = "queued" | "dispatching" | "running" | "paused" | "awaiting" | "reviewing" | "escalated" | "cancelling" | "completed" | "failed" | "cancelled";

/** A delegation with its attempts, questions and reviews. */
export interface DelegationView {
  /** To whom. */
  agent_id: AgentId | null;
  /** The attempt that holds it, or held it last. */
  attempt_id: AttemptId | null;
  /** All attempts, oldest first. */
  attempts: AttemptView[];
  /** Since when. */
  created_at: string;
  /** Who asked for it. */
  delegator: Principal;
  /** Until when. */
  ended_at: string | null;
  /** To which other agent it is offered, while that has not answered. */
  hand_off: HandOffView | null;
  /** Its id. */
  id: DelegationId;
  /** What to do beyond the task's own words. */
  instructions: string;
  /** All questions, oldest first. */
  interrupts: InterruptView[];
  /** The next attempt does not start before this time. */
  not_before: string | null;
  /** What they can do. */
  options: string[] | null;
  /** The agent's final words. */
  output: string | null;
  /** Why it has been in the queue for too long, where it has. */
  overdue: string | null;
  /** Who is asked, where a person has to decide. */
  owner: Principal | null;
  /** What Link would do, for them to agree to. */
  proposal: string | null;
  /** Why it stands there. */
  reason: string | null;
  /** Who has to approve. */
  review: Review;
  /** How many approvals cannot come together any more: other approvers have to be named. */
  review_missing: number | null;
  /** All reviews, oldest first. */
  reviews: ReviewView[];
  /** Rounds of requested changes so far. */
  round: number;
  /** Where it stands. */
  status: DelegationStatus;
  /** The step of the ladder that was taken last, and why. */
  step: Step | null;
  /** Of what. */
  task_id: TaskId;
  /** The team that Link chooses from. */
  team_id: TeamId | null;
  /** What else was agreed. */
  terms: Terms;
  /** Attempts at the task since a person last had a say, when it was queued. */
  tries: number;
  /** Last changed. */
  updated_at: string;
  /** Rises with each change. */
  version: number;
  /** Why it is not handed out while it is queued, where this node runs its workspace. */
  waits: string | null;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** Which webhook is gone. */
export interface Deleted {
  webhook_id: WebhookId;
}

/** Where a delivery stands. */
export type DeliveryStatus = "pending" | "delivered" | "failed";

/** One event for one webhook. */
export interface DeliveryView {
  /** When it was last tried. */
  attempted_at: string | null;
  /** Attempts so far. */
  attempts: number;
  /** The HTTP status of the last answer. */
  code: number | null;
  /** When the event was taken up for this webhook. */
  created_at: string;
  /** Why there was no answer at the last attempt, or why it does not count. */
  error: string | null;
  /** Its id: the same at every attempt, sent as `webhook-id`. */
  id: string;
  /** When the next attempt is due. */
  next_at: string | null;
  /** The event's offset in the workspace's log. */
  offset: number;
  /** The beginning of the last answer. */
  response: string | null;
  /** Where it stands. */
  status: DeliveryStatus;
  /** The event's type. */
  type: string;
  /** To which webhook. */
  webhook_id: WebhookId;
}

/** A dependency of a task. */
export interface DependencyView {
  /** On which task. */
  depends_on: TaskId;
  /** How. */
  type: Gate;
}

/** Which team is no more. */
export interface Dissolved {
  team_id: TeamId;
}

/** A shared document. */
export type DocumentId = string;

/** A shared document. */
export interface DocumentView {
  /** Whether nobody changes it any more. */
  archived: boolean;
  /** Since when. */
  created_at: string;
  /** Who made it. */
  created_by: Principal;
  /** Whose words came last. */
  edited_by: Principal | null;
  /** Its id. */
  id: DocumentId;
  /** Where it belongs. */
  project_id: ProjectId;
  /** The number of its last update. */
  seq: number;
  /** Its title. */
  title: string;
  /** Last changed. */
  updated_at: string;
  /** Rises with each change. */
  version: number;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** Nothing more to say. */
export interface Done {
  ok: boolean;
}

/** Whether a grant gives or takes. */
export type Effect = "allow" | "deny";

/** A piece of the log. */
export interface EventPage {
  /** The events, oldest first; those that the caller may not see are left out. */
  events: EventView[];
  /** The end of the log. */
  head: number;
}

/** One committed event of a workspace's log. */
export interface EventView {
  /** Who did it. */
  actor: Principal;
  /** When. */
  at: string;
  /** The offset of the event that led to it. */
  cause?: number | null;
  /** What happened, in detail; see docs/events.md. */
  data: Record<string, unknown>;
  /** Its id. */
  id: string;
  /** Its number in the log: 1, 2, 3 … */
  offset: number;
  /** For whom, where that differs. */
  on_behalf_of?: Principal | null;
  /** What it is about. */
  subject: Subject;
  /** The trace of the request that led to it. */
  trace: string;
  /** What happened, as `noun:verb`. */
  type: string;
}

/** How everyone is. */
export interface Everyone {
  /** Members first, then agents; at most 1,000 of each. */
  items: PresenceView[];
}

/** What becomes of questions that nobody answers. */
export interface Expiry {
  /** After so many seconds. */
  after_secs: number;
  /** What. */
  then: Lapse;
}

/** Why one permission is there, or not. */
export interface Explained {
  because: Reason;
  /** The grant that gives or takes it. */
  grant_id: GrantId | null;
  may: boolean;
  permission: Permission;
}

/** Why an attempt went where it went. */
export interface Explained2 {
  agent_id: AgentId;
  attempt_id: AttemptId;
  route: Route;
}

/** What somebody may do with a thing, and why. */
export interface Explanation {
  /** What they may do. */
  may: Permissions;
  principal: Principal;
  /** Each permission with its reason. */
  reasons: Explained[];
  /** Their role in the workspace; absent for agents. */
  role: MemberRole | null;
  subject: Subject;
  /** Whether they may know that it exists. */
  visible: boolean;
}

/** The class of an attempt's failure; it decides what happens next. */
export type FailureClass = "connect_refused" | "http_server_error" | "stream_cut" | "instance_lost" | "dispatch_unknown" | "provider_rate_limit" | "provider_error" | "provider_quota" | "provider_auth" | "context_overflow" | "session_not_found" | "silent" | "loop_detected" | "no_progress" | "evidence_missing" | "tests_failed" | "verify_failed" | "review_rejected" | "merge_conflict" | "path_claim_conflict" | "clarification_needed" | "agent_blocked" | "refused" | "permission_denied" | "approval_denied" | "budget_exhausted" | "time_limit" | "misconfigured" | "cancelled_by_user" | "unknown";

/** One splitting of a task into parts. */
export type FanOutId = string;

/** A splitting of a task into parts, and how they were joined. */
export interface FanOutView {
  /** What becomes of those that are open when the join is decided. */
  child_policy: ChildPolicy;
  /** When it was decided. */
  decided_at: string | null;
  /** When the join is decided with what there is. */
  expires_at: string | null;
  /** Its id. */
  id: FanOutId;
  /** How many parts are enough. */
  join: Join;
  /** Since when. */
  opened_at: string;
  /** Who split it. */
  opened_by: Principal;
  /** How the join was decided; absent until it is. */
  outcome: JoinOutcome | null;
  /** The person who answers for it. */
  owner: Principal | null;
  /** The parts. */
  parts: PartView[];
  /** What came of each part, and from whom, once it is decided. */
  results: PartResult[] | null;
  /** Who has to approve each part. */
  review: Review;
  /** The task. */
  task_id: TaskId;
}

/** What is wrong with one field. */
export interface FieldError {
  /** What. */
  message: string;
  /** Where, as in `parts[0].text`. */
  path: string;
}

/** Why work cannot go somewhere. */
export type Filter = "skills" | "paused" | "draining" | "retired" | "agent_full" | "no_instance" | "unhealthy" | "instance_full" | "breaker_open" | "being_tried" | "strategy";

/** An agent, or one of its instances, that could not take the work. */
export interface Filtered {
  /** Who. */
  agent: AgentId;
  /** Where, if it is about one instance. */
  instance: InstanceId | null;
  /** Why not. */
  why: Filter;
}

/** What an instance says became of an attempt. */
export type Found = "running" | "finished" | "failed" | "missing" | "not_started" | "unreachable" | "over";

/** A message that was found. */
export interface FoundView {
  /** The words around what was looked for. */
  highlights: Highlight[];
  /** Which. */
  message: MessageView;
}

/** How one task depends on another. */
export type Gate = "blocks" | "review_ready_ok" | "relates" | "duplicates";

/** What somebody may, or may not, do with one thing. */
export type GrantId = string;

/** Which grant is gone. */
export interface GrantRevoked {
  grant_id: GrantId;
}

/** What somebody may, or may not, do with one thing and with what is below it. */
export interface GrantView {
  /** Since when. */
  created_at: string;
  /** Whether it gives or takes. */
  effect: Effect;
  /** Its id. */
  id: GrantId;
  /** What. */
  permissions: Permissions;
  /** Who; a team means its members. */
  principal: Principal;
  /** The project, task or conversation. */
  subject: Subject;
}

/** Work that is offered to another agent. */
export interface HandOffView {
  /** Who wants it. */
  by: Principal;
  /** After this the offer is void. */
  expires_at: string;
  /** Whose work it is. */
  from: AgentId;
  /** Why, and what the other one should know. */
  reason: string;
  /** Who is asked. */
  to: AgentId;
}

/** How an instance does now. */
export interface HealthView {
  /** What its breaker lets through: everything (`closed`), nothing (`open`), or one attempt (`half_open`). */
  breaker: "closed" | "open" | "half_open";
  /** Attempts that it has. */
  in_flight: number;
  /** How long it takes to accept work, as a moving average that jumps to peaks. */
  latency_ms: number;
  /** Until when it lets nothing through. */
  open_until: string | null;
  /** How often machines and networks did their part, from 0 to 1, as a moving average. */
  success: number;
}

/** Why a queued delegation waits. */
export interface Held {
  /** Who and what could take it and cannot now, and why. */
  filtered: Filtered[];
  /** The task that has the paths which it claims, or comes before it there. */
  holder: TaskId | null;
  /** In a sentence. */
  reason: string;
  /** When that may change by itself, where it is known. */
  until: string | null;
  /** In one word. */
  why: Hold;
}

/** A piece of a message around what was looked for. */
export interface Highlight {
  /** Whether they were looked for. */
  hit: boolean;
  /** The words. */
  text: string;
}

/** What a queued delegation waits for. */
export type Hold = "gated" | "back_off" | "workspace_full" | "background_full" | "no_agent" | "no_skill" | "nobody_can" | "offered" | "path_claimed" | "next";

/** Something that waits for a person's decision. */
export interface InboxItemView {
  /** Of which agent. */
  agent_id: AgentId | null;
  /** Of which attempt. */
  attempt_id: AttemptId | null;
  /** Of which delegation; of a join, that of a part that failed. */
  delegation_id: DelegationId;
  /** Who delegated the work. */
  delegator: Principal;
  /** Options and the schema of the answer; for an escalation the step that was taken last. */
  details: unknown;
  /** Its id: the question's, or the delegation's. */
  id: string;
  /** `KEY-12`. */
  identifier: string;
  /** `question`, `approval`, `auth` or `budget`: to answer; `review`: to review; `escalation`: to decide; `review_stuck`: to name other approvers, those who were named are too few by now; `queue`: nobody takes it; `join`: too many parts of the task failed. */
  kind: "question" | "approval" | "auth" | "budget" | "review" | "escalation" | "review_stuck" | "queue" | "join";
  /** It is for the caller first: they delegated the work, answer for the task, are of the team that does, or were named to approve it. To an agent: for the person on whose behalf it may decide. */
  mine: boolean;
  /** On whose behalf. */
  on_behalf_of: Principal | null;
  /** What can be done, where it is no question. */
  options: string[] | null;
  /** Who is asked first, where it is somebody. */
  owner: Principal | null;
  /** How urgent. */
  priority: Priority;
  /** Where the task belongs. */
  project_id: ProjectId;
  /** What Link would do, to agree to. */
  proposal: string | null;
  /** How often those who can decide were reminded. */
  reminders: number;
  /** The right with which the calling agent may decide it: see `decisions.decide`. */
  right_id: RightId | null;
  /** Since when it waits. */
  since: string;
  /** Of which task. */
  task_id: TaskId;
  /** The question, what was handed in, or why it does not go on. */
  text: string;
  /** The task, in a line. */
  title: string;
}

/** A server that runs an agent. */
export interface Instance {
  /** Secrets by name, as in `api_key` and `link_key`. Kept sealed and never shown. */
  credentials?: Record<string, string>;
  /** The model to ask for. */
  model?: string | null;
  /** Attempts at the same time. */
  slots?: number;
  /** Model turns of one attempt. */
  turns_max?: number;
  /** Where it is: `http://…` or `https://…`; `script:…` for scripted agents. */
  url: string;
}

/** One running agent server. */
export type InstanceId = string;

/** An instance of an agent. Its credentials are shown to nobody. */
export interface InstanceView {
  /** Why not. */
  cause: string | null;
  /** How it does now, where this node runs its workspace. */
  health: HealthView | null;
  /** What the last probe said. */
  healthy: boolean | null;
  /** Its id. */
  id: InstanceId;
  /** The model that is asked for. */
  model: string | null;
  /** What it says that it is good at, where it connects by itself. */
  skills: string[];
  /** Attempts at the same time. */
  slots: number;
  /** How it serves, by what became of the work on it. */
  standing: Standing;
  /** Why it stands so. */
  standing_cause: string | null;
  /** Model turns of one attempt. */
  turns_max: number;
  /** Where it is. */
  url: string;
}

/** An open question that stops an attempt. */
export type InterruptId = string;

/** What kind of answer an attempt waits for. */
export type InterruptKind = "question" | "approval" | "auth" | "budget";

/** A question of an attempt. */
export interface InterruptView {
  /** The answer. */
  answer: unknown;
  /** By whom. */
  answered_by: Principal | null;
  /** Of which attempt. */
  attempt_id: AttemptId;
  /** Which agent decided, where it was on their behalf. */
  decided_by: Principal | null;
  /** Options, resource, schema of the answer. */
  details: unknown;
  /** When it expires, where that was agreed. */
  expires_at: string | null;
  /** Its id. */
  id: InterruptId;
  /** What kind. */
  kind: InterruptKind;
  /** Since when. */
  opened_at: string;
  /** What was agreed for questions that nobody answers, where that decided it. */
  policy: Expiry | null;
  /** The question. */
  prompt: string;
  /** open, answered, delivered or closed. */
  status: "open" | "answered" | "delivered" | "closed";
}

/** How many parts are enough. */
export type Join = "all" | "any" | {
  quorum: number;
};

/** How a join was decided. */
export type JoinOutcome = "enough" | "impossible" | "timed_out" | "ended";

/** An API key. */
export type KeyId = string;

/** An API key, without the key. */
export interface KeyView {
  created_at: string;
  expires_at: string;
  /** Whom it is bound to. */
  holder: Principal;
  id: KeyId;
  /** To the minute. */
  last_used_at: string | null;
  name: string;
  /** How the key begins. */
  prefix: string;
  revoked_at: string | null;
  scopes: string[];
  workspace_id: WorkspaceId | null;
}

/** What becomes of a question that nobody answered in time. */
export type Lapse = "deny" | "escalate" | {
  answer: unknown;
};

/** An event that comes by itself. */
export interface LiveEvent {
  /** Who did it. */
  actor: Principal;
  /** When. */
  at: string;
  /** The offset of the event that led to it. */
  cause?: number | null;
  /** What happened, in detail; see docs/events.md. */
  data: Record<string, unknown>;
  /** Its id. */
  id: string;
  /** Its number in the log: 1, 2, 3 … */
  offset: number;
  /** For whom, where that differs. */
  on_behalf_of?: Principal | null;
  /** What it is about. */
  subject: Subject;
  /** The trace of the request that led to it. */
  trace: string;
  /** What happened, as `noun:verb`. */
  type: string;
  /** Of which workspace. */
  workspace: WorkspaceId;
}

/** A person with fresh tokens. */
export interface LoggedIn {
  /** Send as `Authorization: Bearer …`. */
  access_token: string;
  /** Seconds until the access token ends. */
  expires_in: number;
  /** Show at `auth.refresh`, once. */
  refresh_token: string;
  /** Always `Bearer`. */
  token_type: string;
  user: UserView;
}

/** What a checkpoint is made of. */
export interface Manifest {
  /** The log's offset that all of it is of. */
  at: number;
  /** The conversations about it; direct ones are their participants' own. */
  conversations: TalkMark[];
  /** The run of its attempt, where it had one. */
  session: SessionMark | null;
  /** The SHA-256 of the task's fields and results. */
  task: string;
}

/** `owner`, `admin`, `member`, `guest`, or the id of a custom role. */
export type MemberRole = string;

/** A member of a workspace. */
export interface MemberView {
  /** Their address. */
  email: string;
  /** Since when. */
  joined_at: string;
  /** Their name. */
  name: string;
  /** Their role: what they may do. */
  role: MemberRole;
  /** Who. */
  user_id: UserId;
}

/** What a branch came to, and where that is from. */
export interface MergeView {
  /** What was made. */
  artifacts: ArtifactId[];
  /** Which branch. */
  branch_id: ConversationId;
  /** Decisions that differ from what was decided before; both stand. */
  conflicts: Conflict[];
  /** What was decided. */
  decisions: Decided[];
  /** The number of its first own message. */
  from_seq: number;
  /** The number of its last one. */
  to_seq: number;
}

/** A message of a conversation. */
export type MessageId = string;

/** What a message is. */
export type MessageKind = "said" | "partial" | "note" | "merge";

/** A message. */
export interface MessageView {
  /** Who. */
  author: Principal;
  /** Where it was said: another conversation than the one that is read, for what a branch shares. */
  conversation_id: ConversationId;
  /** When it was deleted. */
  deleted_at: string | null;
  /** When it was changed. */
  edited_at: string | null;
  /** Its id. */
  id: MessageId;
  /** Somebody's words, an interrupted agent's, Link's own, or a merge. */
  kind: MessageKind;
  /** Whom it mentions. */
  mentions: Principal[];
  /** What a branch came to. */
  merge: MergeView | null;
  /** The message that it answers. */
  parent_id: MessageId | null;
  /** What; nothing, once it was deleted. */
  parts: Part[];
  /** When. */
  posted_at: string;
  /** Its offset in the workspace's log. */
  posted_offset: number;
  /** How people and agents reacted. */
  reactions: ReactionView[];
  /** How many messages answer it. */
  replies: number;
  /** Its number: 1, 2, 3 …; a branch goes on after the messages that it shares. */
  seq: number;
}

/** How an agent is chosen. */
export type Mode = "pinned" | "careful" | "sampled";

/** A new API key. */
export interface NewKey {
  created_at: string;
  expires_at: string;
  /** Whom it is bound to. */
  holder: Principal;
  id: KeyId;
  /** Send as `Authorization: Bearer …`. It cannot be shown again, not even to a repeated request. */
  key?: string | null;
  /** To the minute. */
  last_used_at: string | null;
  name: string;
  /** How the key begins. */
  prefix: string;
  revoked_at: string | null;
  scopes: string[];
  workspace_id: WorkspaceId | null;
}

/** What moves a task on. */
export interface NextMoveView {
  /** Not before this time. */
  at: string | null;
  /** `agent`, `queue`, `person` or `task`. */
  by: "agent" | "queue" | "person" | "task";
  /** In words. */
  what: string;
  /** Which of them, where it is one: `user:ID`, `agent:ID`, `team:ID`, `task:ID`. */
  who: string | null;
}

/** An instance on which the work could be done. */
export interface Offered {
  /** What one more attempt costs there; of two, the cheaper one gets it. */
  cost: number;
  /** It got slower, or failed more than once in a row, not long ago: it gets little work. */
  degraded: boolean;
  /** Attempts that it had. */
  in_flight: number;
  /** Which. */
  instance: InstanceId;
  /** How long it takes to accept work. */
  latency_ms: number;
  /** How likely it was, once the agent was chosen. */
  propensity: number;
  /** How often machines and networks did their part. */
  success: number;
}

/** A piece of a message. */
export type Part = {
  /** The words. */
  text: string;
  type: "text";
} | {
  /** Its name. */
  name: string;
  type: "file";
  /** Where it is. */
  url: string;
} | {
  /** The data. */
  data: unknown;
  type: "data";
} | {
  /** Who. */
  principal: Principal;
  type: "mention";
} | {
  /** About what. */
  key: string;
  type: "decision";
  /** How. */
  value: string;
};

/** A part of a task. */
export interface PartIn {
  /** The agent; absent lets Link choose one with a free slot. */
  agent_id?: AgentId | null;
  /** Paths that nobody else's agent writes to while this part's is at work. */
  claims?: string[];
  /** What is to be done. */
  instructions: string;
  /** The team that Link chooses from. */
  team_id?: TeamId | null;
  /** In a line. */
  title: string;
}

/** What came of a part, and from whom. */
export interface PartResult {
  /** Who had it last. */
  agent: AgentId | null;
  /** What it handed in. */
  artifacts: ArtifactId[];
  /** The attempt that handed it in. */
  attempt: AttemptId | null;
  /** Its delegation. */
  delegation: DelegationId;
  /** Where it stood. */
  status: PartStatus;
  /** Which. */
  task: TaskId;
}

/** Where a part stood when the join was decided. */
export type PartStatus = "open" | "done" | "failed";

/** A part of a task that was split. */
export interface PartView {
  /** Who was named for it; nobody lets Link choose. */
  agent_id: AgentId | null;
  /** The delegation of that. */
  delegation_id: DelegationId;
  /** The task that was made of it. */
  task_id: TaskId;
  /** In a line. */
  title: string;
}

/** A Penguin server. Its credentials are shown to nobody. */
export interface PenguinView {
  /** Whose it is. */
  agent_id: AgentId;
  /** The agent's name. */
  agent_name: string;
  /** When it was last asked, where this node asks it. */
  asked_at: string | null;
  /** Whether the agent takes work. */
  availability: Availability;
  /** Changes when the server restarts. */
  boot: string | null;
  /** Why it is not healthy. */
  cause: string | null;
  /** Whether it answered when it was last asked; null before the first time. */
  healthy: boolean | null;
  /** Its id. */
  id: InstanceId;
  /** The model that is asked for. */
  model: string | null;
  /** Since when it answers as it does. */
  probed_at: string | null;
  /** Attempts at the same time. */
  slots: number;
  /** Attempts that run there now. */
  slots_used: number;
  /** Model turns of one attempt. */
  turns_max: number;
  /** Where it is. */
  url: string;
}

/** What an operation needs. */
export type Permission = "public" | "signed" | "logged_in" | "enter" | "read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members" | "own";

/** A set of permissions. */
export type Permissions = ("enter" | "read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members" | "own")[];

/** How someone is, in rising order: of several connections the highest counts. */
export type Presence = "offline" | "away" | "online" | "working";

/** How someone is. */
export interface PresenceView {
  /** Since when; unknown for who was not here lately. */
  since: string | null;
  /** How. */
  status: Presence;
  /** In their own words. */
  text: string | null;
  /** Who: a member or an agent. */
  who: Principal;
}

/** Who acts or is meant, as `kind:id`. */
export type Principal = string;

/** How urgent a task is. */
export type Priority = "none" | "low" | "medium" | "high" | "urgent";

/** What a Penguin server answered. */
export interface Probed {
  /** Changes when the server restarts. */
  boot: string | null;
  /** Sessions that are busy there, where it tells. */
  busy: number | null;
  /** Why it is not healthy. */
  cause: string | null;
  /** Whether it answered. */
  healthy: boolean;
  instance_id: InstanceId;
  /** The server's version, where it tells. */
  version: string | null;
}

/** An error as it goes out. */
export interface Problem {
  /** The stable code. */
  code: string;
  /** What happened here. */
  detail: string;
  /** What is wrong with which field. */
  errors?: FieldError[];
  /** What to do about it. */
  next_actions: string[];
  /** How long to wait before sending it again, where that is known. */
  retry_after_ms?: number | null;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** The HTTP status. */
  status: number;
  /** What it is, in a few words. */
  title: string;
  /** Finds the request in the logs. */
  trace_id: string;
  /** A link to the documentation of the code. */
  type: string;
}

/** A project. */
export type ProjectId = string;

/** A project. */
export interface ProjectView {
  /** Since when. */
  created_at: string;
  /** Who made it. */
  created_by: Principal;
  /** What it is for. */
  description: string;
  /** Its id. */
  id: ProjectId;
  /** The `KEY` of `KEY-12`. */
  key: string;
  /** Its name. */
  name: string;
  /** `active` or `archived`. */
  status: "active" | "archived";
  /** Last changed. */
  updated_at: string;
  /** Rises with each change. */
  version: number;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** One change of a suggestion. */
export interface ProposedView {
  /** Its number in the suggestion, from 0. */
  change: number;
  /** What shall come. */
  inserts: string;
  /** What shall go. */
  removes: string;
  /** When. */
  resolved_at: string | null;
  /** Who decided. */
  resolved_by: Principal | null;
  /** What became of it. */
  status: ChangeStatus;
}

/** One emoji below a message. */
export interface ReactionView {
  /** Which. */
  emoji: string;
  /** Whose. */
  who: Principal[];
}

/** How far somebody has read. */
export interface ReadView {
  /** The number of the last message that they read. */
  seq: number;
  /** Who. */
  who: Principal;
}

/** Why somebody may do something somewhere, or not. */
export type Reason = "role" | "allowed" | "denied" | "unseen" | "not_given" | "out_of_scope";

/** What became of attempts. */
export interface Reconciliation {
  items: Attempt[];
}

/** Which program is no longer a member. */
export interface Removed {
  service_id: ServiceId;
}

/** Who is no longer a member. */
export interface Removed2 {
  user_id: UserId;
}

/** Who has to approve. */
export interface Review {
  /** How many approvals; 0 means that the work counts as done when it is handed in. */
  approvals: number;
  /** Who may review, where they were named: then nobody else can. */
  approvers?: Principal[];
  /** Whose approvals count. */
  by: Reviewers;
}

/** A reviewer's word on a delegation. */
export interface ReviewView {
  /** When. */
  at: string;
  /** Why. */
  comment: string;
  /** Which agent decided, where it was on their behalf. */
  decided_by: Principal | null;
  /** Who. */
  reviewer: Principal;
  /** How. */
  verdict: Verdict;
}

/** Who has to approve. */
export interface ReviewWanted {
  /** How many approvals; 0 means that the work counts as done when it is handed in. */
  approvals: number;
  /** Who may review, so many of whom have to approve; absent or empty: whoever may review the task. */
  approvers?: string[];
  /** Whose approvals count. */
  by: Reviewers;
}

/** Whose approvals count. */
export type Reviewers = "others" | "anyone";

/** Which right is gone. */
export interface Revoked {
  right_id: RightId;
}

/** The key's id. */
export interface RevokedKey {
  id: KeyId;
}

/** What an agent may decide on somebody's behalf. */
export type RightId = string;

/** What an agent may decide on somebody's behalf. */
export interface RightView {
  /** Whose it is. */
  agent_id: AgentId;
  /** Nothing that costs more, in US dollars. */
  cost_usd_max: number | null;
  /** Since when. */
  created_at: string;
  /** What. */
  decides: Decides[];
  /** Until then. */
  expires_at: string;
  /** On whose behalf. */
  grantor: UserId;
  /** Its id. */
  id: RightId;
  /** Nothing that is riskier. */
  risk_max: Risk | null;
  /** The project or the task. */
  subject: Subject;
  /** How often so far. */
  uses: number;
  /** So often. */
  uses_max: number;
}

/** How much can go wrong. */
export type Risk = "low" | "medium" | "high";

/** Which role is gone. */
export interface RoleDeleted {
  role_id: RoleId;
}

/** A role that a workspace made for itself. */
export type RoleId = string;

/** A role that the workspace made. */
export interface RoleView {
  /** Since when. */
  created_at: string;
  /** Its id, which is also what a member's `role` says. */
  id: RoleId;
  /** Its name. */
  name: string;
  /** What its members may do. */
  permissions: Permissions;
}

/** Why an agent and an instance were chosen. */
export interface Route {
  /** Instances that were possible. */
  candidates: number;
  /** All that the choice rests on; routes from before agents were compared have none. */
  decision?: Decision | null;
  /** In words. */
  reason: string;
  /** The team that it was chosen from. */
  team?: TeamId | null;
}

/** Why the attempts of a delegation went where they went. */
export interface Routes {
  /** Every attempt so far, oldest first. */
  items: Explained2[];
  /** Why it is not handed out while it is queued, candidate by candidate, where this node runs its workspace. */
  waits: Held | null;
}

/** How an agent is driven. */
export type RuntimeKind = "penguin" | "scripted" | "peer";

/** A program outside of Link that is a member of a workspace. */
export type ServiceId = string;

/** A program that is a member. */
export interface ServiceView {
  added_at: string;
  id: ServiceId;
  name: string;
  /** A built-in role, or the id of one of the workspace's own. */
  role: MemberRole;
}

/** The run of the attempt that held the task, as it was. */
export interface SessionMark {
  /** Whose it is. */
  agent: AgentId;
  /** The attempt. */
  attempt: AttemptId;
  /** Where it runs. */
  instance: InstanceId;
  /** How its driver finds the run, once the instance has it. */
  remote: unknown;
}

/** Something that was decided: about what, and how. */
export interface Settled {
  /** About what. */
  key: string;
  /** How. */
  value: string;
}

/** How an instance stands, as everyone is told. */
export type Standing = "sound" | "degraded" | "open" | "half_open";

/** One step of the ladder, and why it was taken. */
export interface Step {
  /** Whose it was. */
  agent: AgentId;
  /** The attempt that failed. */
  attempt: AttemptId;
  /** Whom that is charged to. */
  blame: Blame;
  /** How the attempt failed. */
  class: FailureClass;
  /** Who failed since then. */
  failed_agents: AgentId[];
  /** Where work on the task failed since a person last had a say. */
  failed_instances: InstanceId[];
  /** What this failure has in common with others of its kind; with the same one no strategy is repeated. */
  fingerprint: string;
  /** Where it ran. */
  instance: InstanceId;
  /** The same, for people. */
  message: string;
  /** What would be next, if this does not help either. */
  otherwise: Strategy[];
  /** Who is asked, where a person has to decide: who delegated, or who answers for the task. */
  owner: Principal | null;
  /** What would have come first and is not possible: there is no other instance, model or agent. */
  passed_over: Strategy[];
  /** What is done. */
  strategy: Strategy;
  /** Why, in words. */
  why: string;
}

/** What is done after a failure. */
export type Strategy = "same_instance" | "other_instance" | "add_context" | "other_model" | "other_agent" | "split_task" | "ask_person";

/** What an event is about, as `kind:id`. */
export type Subject = string;

/** Changes that somebody proposed for a document. */
export type SuggestionId = string;

/** Changes that somebody proposed together. */
export interface SuggestionView {
  /** Who. */
  author: Principal;
  /** What. */
  changes: ProposedView[];
  /** When. */
  created_at: string;
  /** For which document. */
  document_id: DocumentId;
  /** Its id. */
  id: SuggestionId;
  /** Why. */
  note: string;
}

/** A conversation about the task, as it was. */
export interface TalkMark {
  /** Which. */
  conversation: ConversationId;
  /** The SHA-256 of what was said in it. */
  digest: string;
  /** The number of its last message. */
  seq: number;
}

/** A task. */
export type TaskId = string;

/** Where a task stands. */
export type TaskStatus = "backlog" | "ready" | "blocked" | "in_progress" | "awaiting_input" | "in_review" | "done" | "failed" | "cancelled";

/** A task. */
export interface TaskView {
  /** Who answers for it. */
  assignee: Principal | null;
  /** Paths that nobody else's agent writes to while this task's is at work. */
  claims: string[];
  /** Since when. */
  created_at: string;
  /** Who made it. */
  created_by: Principal;
  /** The agent that works on it. */
  delegate_agent_id: AgentId | null;
  /** The newest delegation. */
  delegation_id: DelegationId | null;
  /** What it waits for. */
  dependencies: DependencyView[];
  /** What is to be done. */
  description: string;
  /** Its id. */
  id: TaskId;
  /** `KEY-12`. */
  identifier: string;
  /** What moves it on; nothing where it is closed. */
  next_move: NextMoveView | null;
  /** The `12`. */
  number: number;
  /** What it is a part of. */
  parent_id: TaskId | null;
  /** What the agent does, in a word. */
  phase: string | null;
  /** How urgent. */
  priority: Priority;
  /** 0–100 from evidence, or unknown. */
  progress: number | null;
  /** Where it belongs. */
  project_id: ProjectId;
  /** Sort key in its column. */
  rank: string;
  /** What whoever does it has to be good at. */
  skills: string[];
  /** Where it stands. */
  status: TaskStatus;
  /** What is to be done, in a line. */
  title: string;
  /** Last changed. */
  updated_at: string;
  /** Rises with each change. */
  version: number;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** A group of people and agents that work can be assigned to. */
export type TeamId = string;

/** How a team decides who of it gets the work. */
export type TeamPolicy = "learned" | "round_robin" | "leader";

/** A team. */
export interface TeamView {
  /** Since when. */
  created_at: string;
  /** Its id. */
  id: TeamId;
  /** Who leads it. */
  lead: Principal | null;
  /** Who is in it. */
  members: Principal[];
  /** Its name. */
  name: string;
  /** How it decides who of it gets the work. */
  policy: TeamPolicy;
}

/** What a delegation was agreed under, beside its review. */
export interface Terms {
  /** What becomes of questions that nobody answers; absent: they wait for ever. */
  expiry?: Expiry | null;
  /** What whoever does it has to be good at: all of it. */
  skills?: string[];
}

/** One change of the text. Several are made one after another: places are those that the ones before left. */
export type TextChange = {
  kind: "append";
  /** The words. */
  text: string;
} | {
  /** The words to replace. */
  find: string;
  kind: "replace";
  /** What comes instead; nothing takes them out. */
  with: string;
} | {
  /** Where, in UTF-16 code units as Yjs counts. */
  at: number;
  /** How many code units go. */
  delete?: number;
  /** What comes. */
  insert?: string;
  kind: "splice";
};

/** What was told. */
export interface Told {
  on: boolean;
  topic: Subject;
}

/** One answer that an agent owes to a message. */
export type TurnId = string;

/** What becomes of a message to an agent that answers another one. */
export type TurnPolicy = "reject" | "enqueue" | "interrupt" | "roll_back";

/** An answer that an agent owes, or gave. */
export interface TurnView {
  /** Whose. */
  agent_id: AgentId;
  /** The answer, as far as there is one. */
  answer_id: MessageId | null;
  /** Who asked. */
  asker: Principal;
  /** Cost in US dollars. */
  cost_usd: number;
  /** Until when. */
  ended_at: string | null;
  /** How it failed. */
  failure_class: FailureClass | null;
  /** Its id. */
  id: TurnId;
  /** Tokens read by the model. */
  input_tokens: number;
  /** To which message. */
  message_id: MessageId;
  /** Tokens written by the model. */
  output_tokens: number;
  /** Since when it waits. */
  queued_at: string;
  /** In words. */
  reason: string | null;
  /** Since when it is answered. */
  started_at: string | null;
  /** queued, running, stopping; answered, failed, interrupted, rolled_back or dropped. */
  status: string;
}

/** A person. */
export type UserId = string;

/** A person, as they see themselves. */
export interface UserView {
  created_at: string;
  email: string;
  id: UserId;
  name: string;
}

/** A reviewer's word. */
export type Verdict = "approve" | "request_changes" | "reject";

/** What a message said from some time on. */
export interface VersionView {
  /** Since when. */
  at: string;
  /** What. */
  parts: Part[];
}

/** What a message said, over time. */
export interface Versions {
  items: VersionView[];
}

/** An endpoint outside that hears of events. */
export type WebhookId = string;

/** A webhook. */
export interface WebhookView {
  /** Since when. */
  created_at: string;
  /** Who made it. */
  created_by: Principal;
  /** What it is for. */
  description: string;
  /** Why not. */
  disabled_reason: string | null;
  /** Whether anything is sent. */
  enabled: boolean;
  /** Which events it hears of. */
  events: string[];
  /** Since when its endpoint takes nothing; null while it does. */
  failing_since: string | null;
  /** Until when the secret before signs too. */
  former_secret_until: string | null;
  /** Its id. */
  id: WebhookId;
  /** Events that wait to be sent, up to 1,000; the log keeps the rest. */
  pending: number;
  /** The secret that signs; only in the answer that made it. */
  secret?: string | null;
  /** Last changed. */
  updated_at: string;
  /** Where events are sent; null when the address cannot be opened any more. */
  url: string | null;
  /** Rises with each change. */
  version: number;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

/** A tenant: everything below it lives in one ordered log. */
export type WorkspaceId = string;

/** A workspace. */
export interface WorkspaceView {
  /** Since when. */
  created_at: string;
  /** Its id. */
  id: WorkspaceId;
  /** Its name. */
  name: string;
  /** Who made it. */
  owner_id: UserId;
  /** The caller's role in it; absent for agents. */
  role: MemberRole | null;
  /** Rises with each change. */
  version: number;
}

/** A document with its text. */
export interface Written {
  /** Whether nobody changes it any more. */
  archived: boolean;
  /** Since when. */
  created_at: string;
  /** Who made it. */
  created_by: Principal;
  /** Whose words came last. */
  edited_by: Principal | null;
  /** Its id. */
  id: DocumentId;
  /** Where it belongs. */
  project_id: ProjectId;
  /** The number of its last update. */
  seq: number;
  /** What it says: the Yjs text `content`. */
  text: string;
  /** Its title. */
  title: string;
  /** Last changed. */
  updated_at: string;
  /** Rises with each change. */
  version: number;
  /** The tenant. */
  workspace_id: WorkspaceId;
}

export interface AuthRegisterInput {
  /** An address; one account each. */
  email: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What others see. */
  name: string;
  /** At least 8 characters. */
  password: string;
}

export interface AuthLoginInput {
  email: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  password: string;
}

export interface AuthExchangeCodeInput {
  /** As it came to the front end; it is good for a minute. */
  code: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface AuthRefreshInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  refresh_token: string;
}

export interface AuthLogoutInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  refresh_token: string;
}

export interface AuthLogoutEverywhereInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface AuthChangePasswordInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** At least 8 characters. */
  new_password: string;
  /** The one that is good until now. */
  password: string;
}

export interface AuthCreateApiKeyInput {
  /** Absent: in 90 days. At most a year from now. */
  expires_at?: string | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What it is for. */
  name: string;
  /** What it is good for, of what the caller may: `read`, `converse`, `work`, `delegate` and so on. Absent: everything. */
  scopes?: ("read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members" | "own")[] | null;
  /** The only workspace that it is good for. Absent: all of the caller's. */
  workspace_id?: WorkspaceId | null;
}

export interface AuthListApiKeysInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
}

export interface AuthRevokeApiKeyInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  key_id: KeyId;
}

export interface WorkspacesAddServiceInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What others see; one service each. */
  name: string;
  /** A built-in role, or the id of one of the workspace's own. */
  role: MemberRole;
  workspace_id: WorkspaceId;
}

export interface WorkspacesListServicesInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesRemoveServiceInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  service_id: ServiceId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesCreateServiceKeyInput {
  /** Absent: in 90 days. At most a year from now. */
  expires_at?: string | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What it is for. */
  name: string;
  /** What it is good for, of what the service may. Absent: everything. */
  scopes?: ("read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members" | "own")[] | null;
  service_id: ServiceId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesListServiceKeysInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  service_id: ServiceId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesRevokeServiceKeyInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  key_id: KeyId;
  service_id: ServiceId;
  workspace_id: WorkspaceId;
}

export interface AgentsCreateKeyInput {
  agent_id: AgentId;
  /** Absent: in 90 days. At most a year from now. */
  expires_at?: string | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What it is for. */
  name: string;
  /** What it is good for, of what the agent may. Absent: everything. */
  scopes?: ("read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members" | "own")[] | null;
}

export interface AgentsListKeysInput {
  agent_id: AgentId;
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
}

export interface AgentsRevokeKeyInput {
  agent_id: AgentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  key_id: KeyId;
}

export interface WorkspacesCreateInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  name: string;
}

export interface WorkspacesListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
}

export interface WorkspacesGetInput {
  workspace_id: WorkspaceId;
}

export interface WorkspacesUpdateInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  name: string;
  workspace_id: WorkspaceId;
}

export type WorkspacesAddMemberInput = ({
  email: string;
  user_id?: null;
} | {
  email?: null;
  user_id: string;
}) & {
  /** The person's address; or `user_id`. */
  email?: string | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  role: MemberRole;
  /** The person's id; or `email`. */
  user_id?: UserId | null;
  workspace_id: WorkspaceId;
};

export interface WorkspacesListMembersInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesUpdateMemberInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  role: MemberRole;
  user_id: UserId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesRemoveMemberInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  user_id: UserId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesEventsInput {
  /** Only events after this offset. */
  after?: number;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesFormTeamInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Who leads it: one of them. */
  lead?: string | null;
  /** People and agents. */
  members: string[];
  name: string;
  /** How it decides who of it gets the work. */
  policy?: TeamPolicy;
  workspace_id: WorkspaceId;
}

export interface WorkspacesUpdateTeamInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The new lead; `null` takes it away. */
  lead?: string | null;
  /** All of its people and agents from now on. */
  members?: string[] | null;
  name?: string | null;
  policy?: TeamPolicy | null;
  team_id: TeamId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesDissolveTeamInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  team_id: TeamId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesListTeamsInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesInboxInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesCreateRoleInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  name: string;
  permissions: ("read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members")[];
  workspace_id: WorkspaceId;
}

export interface WorkspacesListRolesInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesUpdateRoleInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  name?: string | null;
  permissions?: ("read" | "converse" | "work" | "delegate" | "review" | "manage_agents" | "manage_integrations" | "manage_access" | "manage_members")[] | null;
  role_id: RoleId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesDeleteRoleInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  role_id: RoleId;
  workspace_id: WorkspaceId;
}

export interface WorkspacesGrantInput {
  effect: Effect;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** At least one of read, converse, work, delegate and review. Without read nothing else is left. */
  permissions: ("read" | "converse" | "work" | "delegate" | "review")[];
  /** `user:ID`, `agent:ID`, `service:ID` or `team:ID`; a team means its members. */
  principal: string;
  /** `project:ID`, `task:ID` or `conversation:ID`. */
  subject: string;
  workspace_id: WorkspaceId;
}

export interface WorkspacesListGrantsInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  /** Only those for this principal itself. */
  principal?: Principal | null;
  /** Only those on this thing itself. */
  subject?: Subject | null;
  workspace_id: WorkspaceId;
}

export interface WorkspacesRevokeGrantInput {
  grant_id: GrantId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  workspace_id: WorkspaceId;
}

export interface WorkspacesExplainAccessInput {
  /** Who; the caller when absent. */
  principal?: Principal | null;
  /** The thing; the workspace itself when absent. */
  subject?: Subject | null;
  workspace_id: WorkspaceId;
}

export interface ProjectsCreateInput {
  description?: string;
  /** 2 to 10 capital letters and digits, a letter first; made from the name when absent. */
  key?: string | null;
  name: string;
  workspace_id: WorkspaceId;
}

export interface ProjectsListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface ProjectsGetInput {
  project_id: ProjectId;
}

export interface ProjectsUpdateInput {
  description?: string | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  name?: string | null;
  project_id: ProjectId;
}

export interface ProjectsArchiveInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  project_id: ProjectId;
}

export interface ProjectsBoardInput {
  project_id: ProjectId;
}

export interface ProjectsTimelineInput {
  /** Only events after this offset. */
  after?: number;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  project_id: ProjectId;
}

export interface TasksCreateInput {
  /** Who answers for it: `user:ID`, `agent:ID` or `team:ID`. */
  assignee?: Principal | null;
  /** Paths that nobody else's agent writes to while this task's is at work; each means everything below it too. */
  claims?: string[];
  /** Tasks that have to be done first. */
  depends_on?: TaskId[];
  /** What is to be done. Without it the task waits in the backlog. */
  description?: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The task that it is a part of. */
  parent_id?: TaskId | null;
  priority?: Priority;
  project_id: ProjectId;
  /** What whoever does it has to be good at: every delegation of it requires that, beside its own skills. */
  skills?: string[];
  /** `backlog` parks the task whatever its description. */
  status?: Birth | null;
  title: string;
}

export interface TasksListInput {
  /** Only tasks of this assignee. */
  assignee?: Principal | null;
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  project_id: ProjectId;
  /** Only tasks in this state. */
  status?: TaskStatus | null;
}

export interface TasksGetInput {
  task_id: TaskId;
}

export interface TasksUpdateInput {
  /** The new assignee; `null` takes it away. */
  assignee?: Principal | null;
  /** The new claims; an empty list gives up what there was. */
  claims?: string[] | null;
  description?: string | null;
  /** The `version` that the change is based on. */
  expected_version?: number | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  priority?: Priority | null;
  /** The new skills that it requires, all of them. What was delegated before stays as it was agreed. */
  skills?: string[] | null;
  task_id: TaskId;
  title?: string | null;
}

export interface TasksTransitionInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  task_id: TaskId;
  to: TaskStatus;
}

export interface TasksMoveInput {
  /** The card that it shall stand after. */
  after?: TaskId | null;
  /** The card that it shall stand before. */
  before?: TaskId | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The new state, if the column changes. */
  status?: TaskStatus | null;
  task_id: TaskId;
}

export interface TasksAddDependencyInput {
  depends_on: TaskId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  task_id: TaskId;
  type?: Gate;
}

export interface TasksRemoveDependencyInput {
  depends_on: TaskId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  task_id: TaskId;
}

export interface TasksSearchInput {
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  /** Words, "phrases", -without; or an identifier. */
  q: string;
  workspace_id: WorkspaceId;
}

export interface TasksTimelineInput {
  /** Only events after this offset. */
  after?: number;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  task_id: TaskId;
}

export interface TasksCheckpointInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What it is called. */
  name?: string | null;
  task_id: TaskId;
}

export interface TasksCheckpointsInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  task_id: TaskId;
}

export interface TasksRollbackInput {
  checkpoint_id: CheckpointId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  task_id: TaskId;
}

export interface AgentsRegisterInput {
  instances?: Instance[];
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Attempts at the same time, over all instances. */
  max_concurrency?: number;
  name: string;
  runtime: RuntimeKind;
  skills?: string[];
  workspace_id: WorkspaceId;
}

export interface AgentsListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface AgentsGetInput {
  agent_id: AgentId;
}

export interface AgentsUpdateInput {
  agent_id: AgentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  max_concurrency?: number | null;
  name?: string | null;
  skills?: string[] | null;
}

export interface AgentsPauseInput {
  agent_id: AgentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface AgentsResumeInput {
  agent_id: AgentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface AgentsDrainInput {
  agent_id: AgentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface AgentsRetireInput {
  agent_id: AgentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface AgentsAddInstanceInput {
  agent_id: AgentId;
  /** Secrets by name. Kept sealed and never shown. */
  credentials?: Record<string, string>;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The model to ask for. */
  model?: string | null;
  slots?: number;
  turns_max?: number;
  /** Where it is: `http://…` or `https://…`; `script:…` for scripted agents. */
  url: string;
}

export interface AgentsRemoveInstanceInput {
  agent_id: AgentId;
  instance_id: InstanceId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationCreateInput {
  /** The agent; absent lets Link choose one with a free slot. */
  agent_id?: AgentId | null;
  /** What becomes of the agent's questions that nobody answers; absent: they wait for ever. */
  expiry?: Expiry | null;
  /** What to do beyond the task's own words. */
  instructions?: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Who has to approve; by default one other member, or the caller where there is no other. */
  review?: ReviewWanted | null;
  /** What whoever does it has to be good at: only agents and instances that have all of it are candidates. */
  skills?: string[];
  task_id: TaskId;
  /** The team that Link chooses from; absent, that to which the task is assigned, if it is one. */
  team_id?: TeamId | null;
}

export interface DelegationListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  task_id: TaskId;
}

export interface DelegationGetInput {
  delegation_id: DelegationId;
}

export interface DelegationCancelInput {
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Why. */
  reason?: string;
}

export interface DelegationPauseInput {
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationResumeInput {
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationRetryInput {
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationReassignInput {
  agent_id: AgentId;
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationAnswerInput {
  /** The answer: words, or for approvals `{"approve": true|false, "message"?}`. */
  answer: unknown;
  delegation_id: DelegationId;
  /** The question; may be left out when only one is open. */
  interrupt_id?: InterruptId | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationSubmitReviewInput {
  /** Why; the agent reads it when changes are requested. */
  comment?: string;
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  verdict: Verdict;
}

export interface DelegationSetApproversInput {
  /** Who may review from now on. */
  approvers: string[];
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationExplainRouteInput {
  delegation_id: DelegationId;
}

export interface DelegationArtifactsInput {
  delegation_id: DelegationId;
}

export interface DecisionsGrantInput {
  /** Who may decide. */
  agent_id: AgentId;
  /** Nothing that says that it costs more, in US dollars. */
  cost_usd_max?: number | null;
  /** What. */
  decides: Decides[];
  /** For so long, in seconds; a day when absent. */
  expires_in_secs?: number | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Nothing that says that it is riskier. */
  risk_max?: Risk | null;
  /** `project:ID` or `task:ID`. */
  subject: string;
  /** So often; 10 times when absent. */
  uses_max?: number | null;
  workspace_id: WorkspaceId;
}

export interface DecisionsListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface DecisionsRevokeInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  right_id: RightId;
  workspace_id: WorkspaceId;
}

export interface DecisionsDecideInput {
  /** What is decided. */
  decision: Chosen;
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The right that makes it the caller's to decide. */
  right_id: RightId;
}

export interface DelegationHandOffInput {
  /** The agent that shall go on with it. */
  agent_id: AgentId;
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Why, and what the other agent should know. */
  reason?: string;
}

export interface DelegationAcceptHandOffInput {
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DelegationDeclineHandOffInput {
  delegation_id: DelegationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Why not. */
  reason?: string;
}

export interface DelegationFanOutInput {
  /** What becomes of parts that are open when the join is decided, or when the task ends. */
  child_policy?: ChildPolicy;
  /** How many of them are enough. */
  join?: Join;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The parts: each becomes a task with a delegation of its own. */
  parts: PartIn[];
  /** Who has to approve each part; by default nobody, since the whole is reviewed. */
  review?: ReviewWanted | null;
  task_id: TaskId;
  /** After so long the task goes on with what there is. */
  timeout_seconds?: number | null;
}

export interface DelegationListFanOutsInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  task_id: TaskId;
}

export interface ConversationsCreateInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Who is in it besides the caller. */
  participants?: Principal[];
  project_id?: ProjectId | null;
  task_id?: TaskId | null;
  title?: string | null;
  /** What becomes of messages to an agent that is busy. */
  turn_policy?: TurnPolicy;
  type: ConversationKind;
  workspace_id: WorkspaceId;
}

export interface ConversationsListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface ConversationsGetInput {
  conversation_id: ConversationId;
}

export interface ConversationsUpdateInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  title?: string | null;
  /** `reject`, `enqueue`, `interrupt` or `roll_back`. */
  turn_policy?: TurnPolicy | null;
}

export interface ConversationsTurnsInput {
  conversation_id: ConversationId;
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
}

export interface ConversationsAddParticipantInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** `user:ID`, `agent:ID` or `team:ID`. */
  participant: Principal;
}

export interface ConversationsRemoveParticipantInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** `user:ID`, `agent:ID` or `team:ID`. */
  participant: Principal;
}

export interface ConversationsPostInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The message that it answers. */
  parent_id?: MessageId | null;
  parts: Part[];
}

export interface ConversationsEditInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  message_id: MessageId;
  parts: Part[];
}

export interface ConversationsMessagesInput {
  /** Only messages after this number. */
  after?: number;
  conversation_id: ConversationId;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  /** Only messages that answer this one. */
  parent_id?: MessageId | null;
}

export interface ConversationsHistoryInput {
  conversation_id: ConversationId;
  message_id: MessageId;
}

export interface ConversationsReactInput {
  conversation_id: ConversationId;
  /** An emoji, or a short name of one. */
  emoji: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  message_id: MessageId;
}

export interface ConversationsUnreactInput {
  conversation_id: ConversationId;
  /** An emoji, or a short name of one. */
  emoji: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  message_id: MessageId;
}

export interface ConversationsMarkReadInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** The number of the last message that was read. */
  seq: number;
}

export interface ConversationsDeleteInput {
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  message_id: MessageId;
}

export interface ConversationsBranchInput {
  /** The last message that both have. */
  at_message_id: MessageId;
  conversation_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  title?: string | null;
}

export interface ConversationsMergeInput {
  /** What was made: artifacts of attempts. */
  artifacts?: ArtifactId[];
  /** The branch. */
  conversation_id: ConversationId;
  /** What was decided, besides what messages of the branch decided. */
  decisions?: Settled[];
  /** Where to. */
  into_id: ConversationId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** What it came to. */
  summary?: string | null;
}

export interface ConversationsSearchInput {
  /** Only messages after this time. */
  after?: string | null;
  /** Only theirs. */
  author?: Principal | null;
  /** Only messages before this time. */
  before?: string | null;
  /** Only in this conversation, with what a branch shares. */
  conversation_id?: ConversationId | null;
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  /** Words, "phrases", -without. */
  q: string;
  workspace_id: WorkspaceId;
}

export interface DocumentsCreateInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  project_id: ProjectId;
  title: string;
}

export interface DocumentsListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  project_id: ProjectId;
}

export interface DocumentsGetInput {
  document_id: DocumentId;
}

export interface DocumentsUpdateInput {
  document_id: DocumentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  title: string;
}

export interface DocumentsArchiveInput {
  document_id: DocumentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DocumentsEditInput {
  changes: TextChange[];
  document_id: DocumentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export interface DocumentsSuggestInput {
  /** Each on the text as it is now; a person decides about each by itself. */
  changes: TextChange[];
  document_id: DocumentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Why. */
  note?: string;
}

export interface DocumentsListSuggestionsInput {
  /** Whether to list those too of which nothing waits any more. */
  all?: boolean;
  cursor?: string | null;
  document_id: DocumentId;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
}

export interface DocumentsResolveSuggestionInput {
  /** Whether the text shall have it. */
  accept: boolean;
  /** Which of its changes, counted from 0. */
  change?: number;
  document_id: DocumentId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  suggestion_id: SuggestionId;
}

export interface PresenceSetInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  status: Presence;
  /** In your own words. */
  text?: string | null;
  workspace_id: WorkspaceId;
}

export interface PresenceListInput {
  workspace_id: WorkspaceId;
}

export interface PresenceTypingInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Writing, or no longer. */
  on: boolean;
  /** Where: `conversation:ID`, `task:ID` and the like. */
  topic: Subject;
  workspace_id: WorkspaceId;
}

export interface PenguinInstancesInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface PenguinProbeInput {
  instance_id: InstanceId;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
}

export type PenguinReconcileInput = ({
  attempt_id: string;
  delegation_id?: null;
  instance_id?: null;
} | {
  attempt_id?: null;
  delegation_id: string;
  instance_id?: null;
} | {
  attempt_id?: null;
  delegation_id?: null;
  instance_id: string;
}) & {
  /** One attempt; or `delegation_id` or `instance_id`. */
  attempt_id?: AttemptId | null;
  /** The newest attempt of a delegation. */
  delegation_id?: DelegationId | null;
  /** Everything that runs on an instance. */
  instance_id?: InstanceId | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  workspace_id: WorkspaceId;
};

export interface WebhooksCreateInput {
  /** What it is for. */
  description?: string;
  /** Which events: `*`, `noun:*` or types; all when absent. */
  events?: string[];
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Where to send events: `https://…` or `http://…`, at a public address. */
  url: string;
  workspace_id: WorkspaceId;
}

export interface WebhooksListInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  workspace_id: WorkspaceId;
}

export interface WebhooksUpdateInput {
  /** What it is for. */
  description?: string | null;
  /** Whether anything is sent. Switched on again, it goes on where it stopped. */
  enabled?: boolean | null;
  /** Which events from now on. */
  events?: string[] | null;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  /** Where to send events from now on. */
  url?: string | null;
  webhook_id: WebhookId;
}

export interface WebhooksDeleteInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  webhook_id: WebhookId;
}

export interface WebhooksRotateSecretInput {
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  webhook_id: WebhookId;
}

export interface WebhooksDeliveriesInput {
  cursor?: string | null;
  /** The most rows of one page; 50 when absent. */
  limit?: number | null;
  /** Only those that stand there. */
  status?: DeliveryStatus | null;
  webhook_id: WebhookId;
}

export interface WebhooksRedeliverInput {
  delivery_id: string;
  /** The idempotency key: the same one with the same input never does the same thing twice. */
  key?: string;
  webhook_id: WebhookId;
}

/** What a subscription to a workspace's events wants. */
export interface SubscribeInput {
  /** From after this offset; from now on when absent. */
  after?: number | null;
  /** The tracked id of the last event that was seen. It wins over `after`; clients send it by themselves. */
  lastEventId?: string | null;
  /** Only events about these, as `kind:id`; all when there is none. */
  topics?: string[];
  /** Of which workspace. */
  workspace_id: WorkspaceId;
}

/** Link's operations, as the stock `@trpc/client` wants to know them. */
export type AppRouter = TRPCBuiltRouter<{ ctx: object; meta: object; errorShape: ErrorShape; transformer: false }, {
  agents: {
    /** Makes an API key that is bound to an agent; the key itself is shown this once. */
    create_key: Mutation<AgentsCreateKeyInput, NewKey>;
    /** Lists an agent's API keys, revoked ones too. */
    list_keys: Query<AgentsListKeysInput, Page<KeyView>>;
    /** Ends an API key of an agent at once. */
    revoke_key: Mutation<AgentsRevokeKeyInput, RevokedKey>;
    /** Lets an agent join, with the servers that run it. */
    register: Mutation<AgentsRegisterInput, AgentView>;
    /** Lists the agents of a workspace. */
    list: Query<AgentsListInput, Page<AgentView>>;
    /** Shows an agent. */
    get: Query<AgentsGetInput, AgentView>;
    /** Changes an agent's name, skills or bound. */
    update: Mutation<AgentsUpdateInput, AgentView>;
    /** Gives the agent no new work for now. */
    pause: Mutation<AgentsPauseInput, AgentView>;
    /** Gives the agent work again. */
    resume: Mutation<AgentsResumeInput, AgentView>;
    /** Lets the agent finish what it has and gives it no more. */
    drain: Mutation<AgentsDrainInput, AgentView>;
    /** Ends the agent's work for good; its history stays. */
    retire: Mutation<AgentsRetireInput, AgentView>;
    /** Adds a server that runs the agent. */
    add_instance: Mutation<AgentsAddInstanceInput, AgentView>;
    /** No longer uses a server; what runs there is fenced off when it ends. */
    remove_instance: Mutation<AgentsRemoveInstanceInput, AgentView>;
  };
  auth: {
    /** Makes an account and logs it in. */
    register: Mutation<AuthRegisterInput, LoggedIn>;
    /** Gives tokens for an address and a password. */
    login: Mutation<AuthLoginInput, LoggedIn>;
    /** Gives tokens for the code that a login by another provider brought to the front end, once. */
    exchange_code: Mutation<AuthExchangeCodeInput, LoggedIn>;
    /** Gives new tokens for a refresh token, which is spent. Showing a spent one again ends the login. */
    refresh: Mutation<AuthRefreshInput, LoggedIn>;
    /** Ends the login that a refresh token belongs to, and with it its access tokens. */
    logout: Mutation<AuthLogoutInput, Done>;
    /** Ends all logins of the caller, this one too. API keys stay: revoke them one by one. */
    logout_everywhere: Mutation<AuthLogoutEverywhereInput | void, Done>;
    /** Changes the caller's password and ends all their other logins. */
    change_password: Mutation<AuthChangePasswordInput, Done>;
    /** Says whose token it is. */
    me: Query<void, UserView>;
    /** Makes an API key for the caller; the key itself is shown this once. */
    create_api_key: Mutation<AuthCreateApiKeyInput, NewKey>;
    /** Lists the caller's API keys, revoked ones too. */
    list_api_keys: Query<AuthListApiKeysInput | void, Page<KeyView>>;
    /** Ends an API key of the caller's at once. */
    revoke_api_key: Mutation<AuthRevokeApiKeyInput, RevokedKey>;
  };
  conversations: {
    /** Begins a conversation; a direct one is seen by its participants only. */
    create: Mutation<ConversationsCreateInput, ConversationView>;
    /** Lists the conversations that the caller may see. */
    list: Query<ConversationsListInput, Page<ConversationView>>;
    /** Shows a conversation. */
    get: Query<ConversationsGetInput, ConversationView>;
    /** Changes the title, or what becomes of messages to an agent that is busy. */
    update: Mutation<ConversationsUpdateInput, ConversationView>;
    /** Lists what agents were asked in a conversation and what came of it, newest first. */
    turns: Query<ConversationsTurnsInput, Page<TurnView>>;
    /** Lets a person or an agent into a conversation. */
    add_participant: Mutation<ConversationsAddParticipantInput, ConversationView>;
    /** Takes a person or an agent out of a conversation. */
    remove_participant: Mutation<ConversationsRemoveParticipantInput, ConversationView>;
    /** Says something. `@name` and `mention` parts mention people, agents and teams; `/penguin TITLE` makes a task. */
    post: Mutation<ConversationsPostInput, MessageView>;
    /** Changes one's own message; `conversations.history` shows what it was. */
    edit: Mutation<ConversationsEditInput, MessageView>;
    /** Reads messages after a number, oldest first; with `parent_id` the answers to one of them. */
    messages: Query<ConversationsMessagesInput, Page<MessageView>>;
    /** Shows what a message said before it was changed, oldest first; nothing once it was deleted. */
    history: Query<ConversationsHistoryInput, Versions>;
    /** Reacts to a message with an emoji; the same one twice is one. */
    react: Mutation<ConversationsReactInput, MessageView>;
    /** Takes one's own reaction back. */
    unreact: Mutation<ConversationsUnreactInput, MessageView>;
    /** Says up to which message one has read, or that it was all; it never goes back. */
    mark_read: Mutation<ConversationsMarkReadInput, ConversationView>;
    /** Deletes a message: its author or an admin may. Its words are gone for readers; the log keeps them. */
    delete: Mutation<ConversationsDeleteInput, MessageView>;
    /** Begins a conversation that shares another one's messages up to one of them, and goes on by itself. */
    branch: Mutation<ConversationsBranchInput, ConversationView>;
    /** Writes into another conversation what a branch came to, and closes the branch. Once: again is the same. */
    merge: Mutation<ConversationsMergeInput, MessageView>;
    /** Finds messages by words among all that the caller may see, the best first. */
    search: Query<ConversationsSearchInput, Page<FoundView>>;
  };
  decisions: {
    /** Lets an agent decide on the caller's behalf, within limits. */
    grant: Mutation<DecisionsGrantInput, RightView>;
    /** Lists rights to decide: one's own, or all of them to who manages access. */
    list: Query<DecisionsListInput, Page<RightView>>;
    /** Takes a right to decide away, at once. */
    revoke: Mutation<DecisionsRevokeInput, Revoked>;
    /** Answers a question or reviews work on somebody's behalf, as an agent with a right to. */
    decide: Mutation<DecisionsDecideInput, DelegationView>;
  };
  delegation: {
    /** Hands a task to an agent, to a team, or to whichever has a free slot first. */
    create: Mutation<DelegationCreateInput, DelegationView>;
    /** Lists a task's delegations. */
    list: Query<DelegationListInput, Page<DelegationView>>;
    /** Shows a delegation with its attempts, questions and reviews. */
    get: Query<DelegationGetInput, DelegationView>;
    /** Stops a delegation; a running agent is told and has ten seconds. */
    cancel: Mutation<DelegationCancelInput, DelegationView>;
    /** Stops a delegation for now; what was produced stays. */
    pause: Mutation<DelegationPauseInput, DelegationView>;
    /** Queues a paused or escalated delegation again. */
    resume: Mutation<DelegationResumeInput, DelegationView>;
    /** Tries an escalated delegation again, with its tries given back. */
    retry: Mutation<DelegationRetryInput, DelegationView>;
    /** Gives an open delegation to another agent; the one before is fenced off first. */
    reassign: Mutation<DelegationReassignInput, DelegationView>;
    /** Answers an agent's question, once. */
    answer: Mutation<DelegationAnswerInput, DelegationView>;
    /** Approves what was handed in, asks for changes, or rejects it. */
    submit_review: Mutation<DelegationSubmitReviewInput, DelegationView>;
    /** Names other approvers; how many of them have to approve stays as it was agreed. */
    set_approvers: Mutation<DelegationSetApproversInput, DelegationView>;
    /** Says why each attempt went where it went, and of a queued delegation what it waits for. */
    explain_route: Query<DelegationExplainRouteInput, Routes>;
    /** Lists what all attempts of a delegation produced. */
    artifacts: Query<DelegationArtifactsInput, Artifacts>;
    /** Offers the work of the agent that is at it to another agent, which accepts or declines. */
    hand_off: Mutation<DelegationHandOffInput, DelegationView>;
    /** Takes work that is offered to the calling agent; it goes on where the other one stopped. */
    accept_hand_off: Mutation<DelegationAcceptHandOffInput, DelegationView>;
    /** Declines work that is offered to the calling agent; the other one goes on. */
    decline_hand_off: Mutation<DelegationDeclineHandOffInput, DelegationView>;
    /** Splits a task into parts, hands each to an agent, and lets the task wait until enough of them are done. */
    fan_out: Mutation<DelegationFanOutInput, FanOutView>;
    /** Lists how a task was split into parts, and what came of them. */
    list_fan_outs: Query<DelegationListFanOutsInput, Page<FanOutView>>;
  };
  documents: {
    /** Makes a shared document, empty. */
    create: Mutation<DocumentsCreateInput, DocumentView>;
    /** Lists a project's documents, archived ones too. */
    list: Query<DocumentsListInput, Page<DocumentView>>;
    /** Shows a document with its text. */
    get: Query<DocumentsGetInput, Written>;
    /** Gives a document another title. */
    update: Mutation<DocumentsUpdateInput, DocumentView>;
    /** Lets nobody change a document any more; nothing is lost. */
    archive: Mutation<DocumentsArchiveInput, DocumentView>;
    /** Changes the text, all changes or none; whoever is connected sees it at once. */
    edit: Mutation<DocumentsEditInput, Written>;
    /** Proposes changes of the text that a person accepts or declines one by one. */
    suggest: Mutation<DocumentsSuggestInput, SuggestionView>;
    /** Lists suggestions of which something waits for a person, or all. */
    list_suggestions: Query<DocumentsListSuggestionsInput, Page<SuggestionView>>;
    /** Accepts a proposed change, which is then in the text, or declines it; only people can. */
    resolve_suggestion: Mutation<DocumentsResolveSuggestionInput, SuggestionView>;
  };
  penguin: {
    /** Lists the Penguin servers of a workspace with their health, boot and slots in use. */
    instances: Query<PenguinInstancesInput, Page<PenguinView>>;
    /** Asks a Penguin server now whether it lives, and writes the answer down. */
    probe: Mutation<PenguinProbeInput, Probed>;
    /** Asks the Penguin what became of an attempt, of a delegation's newest attempt or of everything that runs on an instance, and brings Link's state in line. */
    reconcile: Mutation<PenguinReconcileInput, Reconciliation>;
  };
  presence: {
    /** Says how the caller is, for a minute; a socket says it for as long as it is open. */
    set: Mutation<PresenceSetInput, PresenceView>;
    /** Lists how every member and every agent is now, and since when. */
    list: Query<PresenceListInput, Everyone>;
    /** Tells those who may see a topic that the caller is writing there, or no longer. */
    typing: Mutation<PresenceTypingInput, Told>;
  };
  projects: {
    /** Makes a project. Its key is made from the name when none is given. */
    create: Mutation<ProjectsCreateInput, ProjectView>;
    /** Lists the projects of a workspace that the caller may see. */
    list: Query<ProjectsListInput, Page<ProjectView>>;
    /** Shows a project. */
    get: Query<ProjectsGetInput, ProjectView>;
    /** Changes a project's name or description. */
    update: Mutation<ProjectsUpdateInput, ProjectView>;
    /** Closes a project for new tasks; nothing is lost. */
    archive: Mutation<ProjectsArchiveInput, ProjectView>;
    /** Shows a project's tasks in columns, in the order that people gave them. */
    board: Query<ProjectsBoardInput, BoardView>;
    /** Reads what happened in a project after an offset, oldest first. */
    timeline: Query<ProjectsTimelineInput, EventPage>;
  };
  tasks: {
    /** Makes a task. With a description it is ready, or blocked by what it depends on; without, it is in the backlog. */
    create: Mutation<TasksCreateInput, TaskView>;
    /** Lists a project's tasks. */
    list: Query<TasksListInput, Page<TaskView>>;
    /** Shows a task. */
    get: Query<TasksGetInput, TaskView>;
    /** Changes fields of a task; with `expected_version`, only if nobody was faster. */
    update: Mutation<TasksUpdateInput, TaskView>;
    /** Moves a task to another state by hand. */
    transition: Mutation<TasksTransitionInput, TaskView>;
    /** Moves a card: to another state, before or after another card, or to the end. */
    move: Mutation<TasksMoveInput, TaskView>;
    /** Lets a task wait for another one; a cycle is refused. */
    add_dependency: Mutation<TasksAddDependencyInput, TaskView>;
    /** No longer lets a task wait for another one. */
    remove_dependency: Mutation<TasksRemoveDependencyInput, TaskView>;
    /** Finds tasks by words, or by identifier as in KEY-12. */
    search: Query<TasksSearchInput, Page<TaskView>>;
    /** Reads what happened to a task after an offset, oldest first. */
    timeline: Query<TasksTimelineInput, EventPage>;
    /** Remembers what a task, the conversations about it and its agent's run are like now. */
    checkpoint: Mutation<TasksCheckpointInput, CheckpointView>;
    /** Lists the states that a task can go back to. */
    checkpoints: Query<TasksCheckpointsInput, Page<CheckpointView>>;
    /** Takes a task back to a checkpoint: its fields, its results, and what its next attempts are told. Nothing is deleted, and a checkpoint is made first. */
    rollback: Mutation<TasksRollbackInput, TaskView>;
  };
  webhooks: {
    /** Lets an endpoint hear of events from now on; the secret that signs is shown this once. */
    create: Mutation<WebhooksCreateInput, WebhookView>;
    /** Lists the webhooks of a workspace. */
    list: Query<WebhooksListInput, Page<WebhookView>>;
    /** Changes a webhook's address, description or events, or switches it on or off. */
    update: Mutation<WebhooksUpdateInput, WebhookView>;
    /** Removes a webhook and what waits for it. */
    delete: Mutation<WebhooksDeleteInput, Deleted>;
    /** Makes a new secret, shown this once; the one before signs too for 24 hours. */
    rotate_secret: Mutation<WebhooksRotateSecretInput, WebhookView>;
    /** Lists what was, is or will be sent to a webhook, newest first. */
    deliveries: Query<WebhooksDeliveriesInput, Page<DeliveryView>>;
    /** Sends a delivery again at once, whatever came of it, under the same id. */
    redeliver: Mutation<WebhooksRedeliverInput, DeliveryView>;
  };
  workspaces: {
    /** Lets a program in as a member, with a role that the caller could have. */
    add_service: Mutation<WorkspacesAddServiceInput, ServiceView>;
    /** Lists the programs that are members. */
    list_services: Query<WorkspacesListServicesInput, Page<ServiceView>>;
    /** Takes a program out; its keys end at once. */
    remove_service: Mutation<WorkspacesRemoveServiceInput, Removed>;
    /** Makes an API key for a program; the key itself is shown this once. */
    create_service_key: Mutation<WorkspacesCreateServiceKeyInput, NewKey>;
    /** Lists a program's API keys, revoked ones too. */
    list_service_keys: Query<WorkspacesListServiceKeysInput, Page<KeyView>>;
    /** Ends an API key of a program at once. */
    revoke_service_key: Mutation<WorkspacesRevokeServiceKeyInput, RevokedKey>;
    /** Makes a workspace; the caller is its first owner. */
    create: Mutation<WorkspacesCreateInput, WorkspaceView>;
    /** Lists the workspaces that the caller is a member of. */
    list: Query<WorkspacesListInput | void, Page<WorkspaceView>>;
    /** Shows a workspace. */
    get: Query<WorkspacesGetInput, WorkspaceView>;
    /** Renames a workspace. */
    update: Mutation<WorkspacesUpdateInput, WorkspaceView>;
    /** Lets a person in who has an account, by address or id. */
    add_member: Mutation<WorkspacesAddMemberInput, MemberView>;
    /** Lists the members. */
    list_members: Query<WorkspacesListMembersInput, Page<MemberView>>;
    /** Changes a member's role. */
    update_member: Mutation<WorkspacesUpdateMemberInput, MemberView>;
    /** Takes a member out; everyone may leave, the last owner cannot. */
    remove_member: Mutation<WorkspacesRemoveMemberInput, Removed2>;
    /** Forms a team of people and agents that work can be given to. */
    form_team: Mutation<WorkspacesFormTeamInput, TeamView>;
    /** Changes a team: its name, who is in it, who leads it, or how it decides who of it gets work. */
    update_team: Mutation<WorkspacesUpdateTeamInput, TeamView>;
    /** Dissolves a team. What runs goes on; of what waits for it, a person decides who does it. */
    dissolve_team: Mutation<WorkspacesDissolveTeamInput, Dissolved>;
    /** Lists the teams. */
    list_teams: Query<WorkspacesListTeamsInput, Page<TeamView>>;
    /** Lists what waits for a decision that the caller may make: questions, reviews, escalations. */
    inbox: Query<WorkspacesInboxInput, Page<InboxItemView>>;
    /** Makes a role of permissions that the caller has. */
    create_role: Mutation<WorkspacesCreateRoleInput, RoleView>;
    /** Lists the roles that the workspace made; owner, admin, member and guest are built in. */
    list_roles: Query<WorkspacesListRolesInput, Page<RoleView>>;
    /** Changes a role, for everyone who has it, at once. */
    update_role: Mutation<WorkspacesUpdateRoleInput, RoleView>;
    /** Takes a role away that no member has. */
    delete_role: Mutation<WorkspacesDeleteRoleInput, RoleDeleted>;
    /** Allows or denies somebody something with a project, a task or a conversation and all below; deny wins. */
    grant: Mutation<WorkspacesGrantInput, GrantView>;
    /** Lists the grants, of all or of one principal or thing. */
    list_grants: Query<WorkspacesListGrantsInput, Page<GrantView>>;
    /** Takes a grant away; what it allowed or denied ends with it. */
    revoke_grant: Mutation<WorkspacesRevokeGrantInput, GrantRevoked>;
    /** Says what somebody may do with a thing, and why; about others only to who manages access. */
    explain_access: Query<WorkspacesExplainAccessInput, Explanation>;
    /** Every event after an offset, oldest first and each once; the tracked id is the event's offset. */
    events: Subscription<SubscribeInput, AsyncIterable<{ id: string; data: LiveEvent }>>;
  };
}>;
