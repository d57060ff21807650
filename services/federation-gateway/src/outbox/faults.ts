/** Where a process may end, for those who try what happens then. */
export type FaultPoint = 'receive.stored' | 'send.read' | 'send.answered' | 'send.deleted';

export type Faults = (point: FaultPoint) => void | Promise<void>;
