// What must compile, and what must not. Nothing here is run: a wrong type that compiles is an unused `@ts-expect-error`.
import type { TRPCClient, TRPCClientError } from '@trpc/client';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter, LinkSocket, MemberRole, Page, Problem, TaskStatus, TaskView, WorkspaceView } from '@link/client';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const proven = <T extends true>(): T | undefined => undefined;

type In = inferRouterInputs<AppRouter>;
type Out = inferRouterOutputs<AppRouter>;

proven<Equal<Out['tasks']['create'], TaskView>>();
proven<Equal<Out['workspaces']['list'], Page<WorkspaceView>>>();
proven<Equal<Out['tasks']['get']['status'], TaskStatus>>();
proven<Equal<Out['tasks']['get']['assignee'], string | null>>();
proven<Equal<In['workspaces']['get'], { workspace_id: string }>>();
proven<Equal<In['auth']['me'], void>>();
proven<Equal<In['workspaces']['add_member']['role'], MemberRole>>();
proven<Equal<In['tasks']['create']['key'], string | undefined>>();

export async function calls(trpc: TRPCClient<AppRouter>, error: TRPCClientError<AppRouter>, socket: LinkSocket): Promise<void> {
  const me = await trpc.auth.me.query();
  proven<Equal<typeof me.email, string>>();
  await trpc.workspaces.list.query({});
  await trpc.workspaces.list.query();
  await trpc.tasks.create.mutate({ project_id: me.id, title: 'x', priority: 'high', key: 'k' });
  trpc.workspaces.events.subscribe({ workspace_id: me.id, after: 0, topics: ['*'] }, {
    onData: ({ id, data }) => {
      proven<Equal<typeof id, string>>();
      proven<Equal<typeof data.offset, number>>();
    },
  });
  const problem = error.data?.problem;
  proven<Equal<typeof problem, Problem | undefined>>();
  const task = await socket.call('tasks.get', { task_id: me.id });
  proven<Equal<typeof task, TaskView>>();
  await socket.call('auth.me');
  const page = await socket.call('workspaces.events', { workspace_id: me.id });
  proven<Equal<typeof page.head, number>>();

  // @ts-expect-error a field is missing
  await trpc.tasks.create.mutate({ project_id: me.id });
  // @ts-expect-error a field has the wrong type
  await trpc.tasks.create.mutate({ project_id: me.id, title: 7 });
  // @ts-expect-error a field that there is not
  await trpc.tasks.create.mutate({ project_id: me.id, title: 'x', colour: 'red' });
  // @ts-expect-error a word that there is not
  await trpc.tasks.create.mutate({ project_id: me.id, title: 'x', priority: 'highest' });
  // @ts-expect-error a mutation is no query
  await trpc.tasks.create.query({ project_id: me.id, title: 'x' });
  // @ts-expect-error a query is no mutation
  await trpc.auth.me.mutate();
  // @ts-expect-error an input where there is none
  await trpc.auth.me.query({ id: me.id });
  // @ts-expect-error an operation that there is not
  await trpc.tasks.explode.mutate({});
  // @ts-expect-error the events are a subscription
  await trpc.workspaces.events.query({ workspace_id: me.id });
  // @ts-expect-error a subscription needs a workspace
  trpc.workspaces.events.subscribe({}, {});
  // @ts-expect-error an answer has no such field
  task.colour;
  // @ts-expect-error an operation that there is not
  await socket.call('tasks.explode', {});
  // @ts-expect-error a field is missing
  await socket.call('tasks.get', {});
  // @ts-expect-error the input is missing
  await socket.call('tasks.get');
}
