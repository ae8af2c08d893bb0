// Runs the stock client over each of its links, and LinkSocket, against a running Link, which is killed in between.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import {
  TRPCClientError,
  createTRPCClient,
  createWSClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  wsLink,
} from '@trpc/client';
import { LinkError, LinkSocket, readEvents, type AppRouter } from '@link/client';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';

const server = process.argv[2]!;
const url = `${server}/trpc`;
const socketUrl = server.replace(/^http/, 'ws');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (word: string) => process.stdout.write(`${word}\n`);

/** Lets the test around this program do something, and waits until it is done. */
async function ask(word: string): Promise<void> {
  say(word);
  assert.equal((await lines.next()).value, 'done');
}

let requests = 0;
const counting: typeof fetch = (...given) => {
  requests += 1;
  return fetch(...given);
};

const nobody = createTRPCClient<AppRouter>({ links: [httpLink({ url })] });
const ada = await nobody.auth.register.mutate({ email: 'ada@example.org', name: 'Ada', password: 'correct horse' });
const token = ada.access_token;
const headers = { authorization: `Bearer ${token}` };
const single = createTRPCClient<AppRouter>({ links: [httpLink({ url, headers, fetch: counting })] });
const workspace = await single.workspaces.create.mutate({ name: 'Lab' });
const project = await single.projects.create.mutate({ workspace_id: workspace.id, name: 'Moon base' });
const where = { workspace_id: workspace.id };

// What is asked over one request, and what it costs.
for (const [name, link, cost] of [
  ['httpLink', httpLink({ url, headers, fetch: counting }), 3],
  ['httpBatchLink', httpBatchLink({ url, headers, fetch: counting }), 1],
  ['httpBatchStreamLink', httpBatchStreamLink({ url, headers, fetch: counting }), 1],
] as const) {
  const trpc = createTRPCClient<AppRouter>({ links: [link] });
  requests = 0;
  const [me, lab, none] = await Promise.allSettled([
    trpc.auth.me.query(),
    trpc.workspaces.get.query(where),
    trpc.tasks.get.query({ task_id: workspace.id }),
  ]);
  assert.equal(requests, cost, name);
  assert.equal(me.status === 'fulfilled' && me.value.id, ada.user.id);
  assert.equal(lab.status === 'fulfilled' && lab.value.name, 'Lab');
  assert(none.status === 'rejected' && none.reason instanceof TRPCClientError);
  const error: TRPCClientError<AppRouter> = none.reason;
  assert.equal(error.data?.code, 'NOT_FOUND');
  assert.equal(error.data?.problem.code, 'not_found');
  assert(error.data?.problem.next_actions.length);
  requests = 0;
  const tasks = await Promise.all(
    ['a', 'b', 'c'].map((title) => trpc.tasks.create.mutate({ project_id: project.id, title: `${name} ${title}`, key: `${name}-${title}` })),
  );
  assert.equal(requests, cost, name);
  assert.equal(new Set(tasks.map((task) => task.identifier)).size, 3);
  const again = await trpc.tasks.create.mutate({ project_id: project.id, title: `${name} a`, key: `${name}-a` });
  assert.equal(again.id, tasks[0]!.id);
  await assert.rejects(trpc.tasks.create.mutate({ project_id: project.id, title: '' }), (error) => {
    assert(error instanceof TRPCClientError);
    return (error as TRPCClientError<AppRouter>).data?.problem.errors?.[0]?.path === 'title';
  });
  say(`${name} ok`);
}

// What is heard: each way hears every event once and in order, across the death of the server.
const heard: Record<string, number[]> = { sse: [], ws: [], socket: [] };
const bySse = createTRPCClient<AppRouter>({
  links: [
    splitLink({
      condition: (op) => op.type === 'subscription',
      true: httpSubscriptionLink({ url, EventSource, connectionParams: () => ({ token }) }),
      false: httpLink({ url, headers }),
    }),
  ],
});
const wsClient = createWSClient({
  url: `${socketUrl}/trpc`,
  WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
  connectionParams: () => ({ token }),
  keepAlive: { enabled: true, intervalMs: 1_000, pongTimeoutMs: 5_000 },
  retryDelayMs: () => 100,
});
const byWs = createTRPCClient<AppRouter>({ links: [wsLink({ client: wsClient })] });
const failed = (error: unknown) => {
  console.error(error);
  process.exit(1);
};
const sse = bySse.workspaces.events.subscribe({ ...where, after: 0 }, {
  onData: ({ id, data }) => {
    assert.equal(id, String(data.offset));
    heard['sse']!.push(data.offset);
  },
  onError: failed,
});
const ws = byWs.workspaces.events.subscribe({ ...where, after: 0 }, {
  onData: ({ data }) => void heard['ws']!.push(data.offset),
  onError: failed,
});
let stored = 0;
const socket = new LinkSocket({ url: `${socketUrl}/ws`, token: () => token, WebSocket, backoffMs: 50 });
const subscription = socket.subscribe({
  workspace: workspace.id,
  after: 0,
  onEvent: (event) => void heard['socket']!.push(event.offset),
  onCursor: (offset) => (stored = offset),
  onError: failed,
});

async function caughtUp(): Promise<void> {
  const { head } = await readEvents(single, { ...where, limit: 1 });
  for (const [name, offsets] of Object.entries(heard)) {
    while ((offsets.at(-1) ?? 0) < head) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(offsets, Array.from({ length: offsets.length }, (_, nth) => nth + 1), name);
  }
}

assert.equal((await byWs.auth.me.query()).id, ada.user.id);
assert.equal((await socket.call('auth.me')).id, ada.user.id);
await assert.rejects(socket.call('tasks.get', { task_id: workspace.id }), (error) => error instanceof LinkError && error.code === 'not_found');
await assert.rejects(byWs.tasks.get.query({ task_id: workspace.id }), (error) => (error as TRPCClientError<AppRouter>).data?.problem.code === 'not_found');
await caughtUp();
say('subscriptions ok');

// Writers that do not stop while the server dies: a call that was not answered is sent again under its key.
async function insist<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof TRPCClientError && error.data) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
const COUNT = 60;
const before = (await single.projects.board.query({ project_id: project.id })).columns.flatMap((column) => column.tasks).length;
let written = 0;
const numbers = Array.from({ length: COUNT }, (_, nth) => nth);
const writing = Promise.all([
  (async () => {
    for (const nth of numbers) {
      const task = { project_id: project.id, title: `By HTTP ${nth}`, key: `http-${nth}` };
      await insist(() => single.tasks.create.mutate(task));
      written += 1;
    }
  })(),
  (async () => {
    for (const nth of numbers) {
      await socket.call('tasks.create', { project_id: project.id, title: `By socket ${nth}` });
      written += 1;
    }
  })(),
]);
while (written < COUNT / 2) await new Promise((resolve) => setTimeout(resolve, 5));
await ask('kill and revive');
await writing;
const board = await single.projects.board.query({ project_id: project.id });
const titles = board.columns.flatMap((column) => column.tasks).map((task) => task.title);
assert.equal(titles.length, before + 2 * COUNT, 'each task was made once');
assert.equal(new Set(titles).size, titles.length);
await caughtUp();
say('restart ok');

// A node that stops in order asks its clients to come again.
await ask('stop and start');
await insist(() => single.tasks.create.mutate({ project_id: project.id, title: 'After the stop', key: 'after' }));
await caughtUp();
assert.equal(subscription.cursor, stored);
say('stop ok');

subscription.unsubscribe();
sse.unsubscribe();
ws.unsubscribe();
await wsClient.close();
socket.close();
await assert.rejects(socket.call('auth.me'));
say('all ok');
process.exit(0);
