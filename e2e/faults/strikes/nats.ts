import type { Condition } from '../cable.ts';
import type { Fault } from '../fault.ts';
import type { Line } from '../site.ts';

/** For some seconds so many of the three are away. */
function stop(count: 1 | 2 | 3, how: 'stop' | 'kill'): Fault {
  const numbers = [1, 2, 3].slice(0, count);
  const verb = how === 'stop' ? 'stopped' : 'killed';
  return {
    name: `nats ${count} ${verb}`,
    about: `${count} of three NATS ${verb}, and started again with nothing on disk`,
    isQuick: count === 3 && how === 'kill',
    async strike(site) {
      const { ground } = site;
      await ground.nats[how](...numbers);
      await site.hold(count === 3 ? 4_000 : 2_500);
      await ground.nats.start(...numbers);
    },
  };
}

const frozen: Fault = {
  name: 'nats 1 frozen',
  about: 'SIGSTOP of one of three NATS for longer than its clients believe in it',
  async strike(site) {
    site.ground.nats.freeze(1);
    await site.hold(9_000);
    site.ground.nats.thaw(1);
  },
};

function part(line: Line, condition: Condition, about: string, isQuick = false): Fault {
  return {
    name: `part ${line} ${condition}`,
    about,
    isQuick,
    async strike(site) {
      site.set(line, condition);
      await site.hold(condition === 'cut' ? 4_000 : 8_000);
      site.set(line, 'whole');
    },
  };
}

export const nats: readonly Fault[] = [
  stop(1, 'kill'),
  stop(2, 'stop'),
  stop(3, 'kill'),
  frozen,
  part('ds-nats', 'mute-there', 'what the DS says to NATS does not arrive; it hears NATS'),
  part('ds-nats', 'mute-back', 'the DS hears nothing of NATS; what it says arrives', true),
  part('qs-nats', 'mute-there', 'what the QS answers does not arrive; it hears NATS'),
  part('qs-nats', 'mute-back', 'the QS hears nothing of NATS; what it says arrives'),
  part('qs-nats', 'cut', 'connections between the QS and NATS are reset'),
];

export const partitions: readonly Fault[] = [
  part('ds-postgres', 'mute', 'between the DS and PostgreSQL nothing goes through'),
  part('ds-postgres', 'cut', 'connections between the DS and PostgreSQL are reset'),
  part('qs-postgres', 'mute', 'between the QS and PostgreSQL nothing goes through'),
  part('aas-postgres', 'mute', 'between the AAS and PostgreSQL nothing goes through', true),
  part('edge-aas', 'mute', 'between Envoy and the AAS nothing goes through'),
  part('edge-aas', 'cut', 'connections between Envoy and the AAS are reset'),
];
