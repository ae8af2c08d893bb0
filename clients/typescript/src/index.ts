import { getUntypedClient, type TRPCClient } from '@trpc/client';
import type { AppRouter, EventPage, WorkspacesEventsInput } from './router.js';

export * from './router.js';
export * from './socket.js';

/**
 * Reads a piece of a workspace's log. It is the query `workspaces.events`: a name can be only one kind of procedure
 * for the stock client, and there this one is the subscription.
 */
export async function readEvents(client: TRPCClient<AppRouter>, input: WorkspacesEventsInput): Promise<EventPage> {
  return (await getUntypedClient(client).query('workspaces.events', input)) as EventPage;
}
