import { MemoryBus } from '@roost/bus/memory';
import { Failure } from '@roost/core/failure';

/** A bus that can be cut, so that what was accepted lies in the outbox. */
export class CutBus extends MemoryBus {
  isCut = false;

  override async request(...call: Parameters<MemoryBus['request']>): Promise<Uint8Array> {
    if (this.isCut) throw new Failure('UNAVAILABLE', 'bus: cut');
    return await super.request(...call);
  }
}
