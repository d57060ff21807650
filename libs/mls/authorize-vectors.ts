import { readFile, writeFile } from 'node:fs/promises';
import { argv, exit, stderr, stdout } from 'node:process';

/**
 * Writes `vectors/authorize.json`: who may do what in which room. What is expected is stated here
 * by a table of its own, not by asking `authorize`, so that the two can be held against each other;
 * the cases that no table holds stand in `vectors/authorize-cases.json`, written by hand.
 *
 *     node libs/mls/authorize-vectors.ts [--check]
 */

const HELD = ['ordinary', 'moderator', 'admin', 'visitor', 'owner'] as const;
type Held = (typeof HELD)[number];

/** 0 to 8, as the roles are numbered. */
const ACTORS = [
  'none',
  'banned',
  'ordinary',
  'moderator',
  'admin',
  'policy_enforcer',
  'visitor',
  'owner',
  'departed',
] as const;
type ActorRole = (typeof ACTORS)[number];

const FORMS = ['inline', 'by-reference', 'external'] as const;
type Form = (typeof FORMS)[number];

/** What a role may do, beside what everybody in a room may. */
interface Powers {
  readonly leaves?: true;
  readonly writes?: true;
  readonly names?: true;
  /** As what it adds others. */
  readonly adds?: readonly Held[];
  readonly removes?: readonly Held[];
  readonly bans?: readonly (Held | 'none')[];
  readonly unbans?: true;
  /** Whose roles it changes, into which. */
  readonly promotes?: Readonly<Partial<Record<Held, readonly Held[]>>>;
  /** Its own role it changes, into any other. */
  readonly steps?: true;
  readonly legislates?: true;
  readonly mixes?: true;
}

const LOW = ['ordinary', 'visitor'] as const;
const MIDDLE = ['ordinary', 'moderator', 'visitor'] as const;

const muting = { ordinary: ['visitor'], visitor: ['ordinary'] } as const;
const visitor: Powers = { leaves: true };
const ordinary: Powers = { leaves: true, writes: true };
const moderator: Powers = { ...ordinary, removes: LOW, bans: ['none', ...LOW] };
const admin: Powers = {
  ...ordinary,
  names: true,
  adds: LOW,
  removes: MIDDLE,
  bans: ['none', ...MIDDLE],
  unbans: true,
  promotes: {
    ordinary: ['moderator', 'visitor'],
    moderator: LOW,
    visitor: ['ordinary', 'moderator'],
  },
};
const owner: Powers = {
  ...admin,
  adds: HELD,
  removes: HELD,
  bans: ['none', ...HELD],
  promotes: Object.fromEntries(HELD.map((from) => [from, HELD.filter((to) => to !== from)])),
  steps: true,
  legislates: true,
};

/** The whole policy of the six templates. A role that a room has not may do nothing in it. */
const ROOMS: Readonly<Record<string, Readonly<Partial<Record<Held, Powers>>>>> = {
  dm: { ordinary: { writes: true }, owner: { writes: true } },
  group_dm: { ordinary: { ...ordinary, names: true }, owner: { ...ordinary, names: true } },
  cooperative: {
    visitor,
    ordinary: { ...ordinary, names: true, adds: ['ordinary'] },
    moderator: { ...moderator, names: true, adds: ['ordinary'] },
    admin,
    owner,
  },
  strict: { visitor, ordinary, moderator, admin, owner: { ...owner, mixes: true } },
  moderated: { visitor, ordinary, moderator: { ...moderator, promotes: muting }, admin, owner },
  public: {
    visitor,
    ordinary: { ...ordinary, adds: ['ordinary'] },
    moderator: { ...moderator, adds: ['ordinary'], promotes: muting },
    admin,
    owner,
  },
};

/** Whom the hub may take out, and whether it proposes policies; single clients it takes anywhere. */
const HUB: Readonly<
  Record<string, { readonly removes: readonly Held[]; readonly legislates: boolean }>
> = {
  dm: { removes: [], legislates: false },
  group_dm: { removes: ['ordinary', 'owner'], legislates: false },
  cooperative: { removes: HELD, legislates: true },
  strict: { removes: HELD, legislates: true },
  moderated: { removes: HELD, legislates: true },
  public: { removes: HELD, legislates: true },
};

/** The forms in which a member does something. What is not named comes in a commit or ahead of one. */
const MEMBERS_FORMS: Readonly<Record<string, readonly Form[]>> = {
  add: ['inline'],
  add_client: ['inline'],
  update: ['inline'],
  psk: ['inline'],
  reinit: ['inline'],
  send: ['inline'],
  leave: ['by-reference'],
  external_join: ['external'],
  resync: ['external'],
};

/** What is tried, with the type of the MLS proposal that it is done by. */
const DEEDS: readonly (readonly [deed: string, proposal: string])[] = [
  ['add', 'add'],
  ...HELD.filter((as) => as !== 'ordinary').map((as) => [`add ${as}`, 'add'] as const),
  ['add_client', 'add'],
  ...HELD.map((target) => [`remove ${target}`, 'remove'] as const),
  ['remove_client', 'remove'],
  ['split', 'remove'],
  ['leave', 'self_remove'],
  ['update', 'update'],
  ['psk', 'psk'],
  ['reinit', 'reinit'],
  ['external_join', 'external_init'],
  ['resync', 'external_init'],
  ['same', 'group_context_extensions'],
  ['title', 'group_context_extensions'],
  ['policy', 'group_context_extensions'],
  ...(['none', ...HELD] as const).map(
    (target) => [`ban ${target}`, 'group_context_extensions'] as const,
  ),
  ['unban', 'group_context_extensions'],
  ...HELD.flatMap((from) =>
    HELD.filter((to) => to !== from).map(
      (to) => [`role ${from} ${to}`, 'group_context_extensions'] as const,
    ),
  ),
  ...HELD.map((to) => [`step ${to}`, 'group_context_extensions'] as const),
  ['other', 'app_data_update'],
  ['send', 'none'],
];

/** Whether somebody may do something in a room. This is the statement of the rules. */
function isAllowed(room: string, role: ActorRole, deed: string, form: Form): boolean {
  const [verb = '', first, second] = deed.split(' ');
  if (role === 'policy_enforcer') {
    const { removes, legislates } = HUB[room] ?? { removes: [], legislates: false };
    if (form !== 'external') return false;
    if (verb === 'remove') return removes.some((each) => each === first);
    return verb === 'remove_client' || verb === 'split' || (verb === 'policy' && legislates);
  }
  const forms = MEMBERS_FORMS[verb] ?? ['inline', 'by-reference'];
  if (!forms.includes(form)) return false;
  if (verb === 'external_join') return room === 'public' && role === 'none';
  const powers = ROOMS[room]?.[role as Held];
  if (powers === undefined) return false;
  switch (verb) {
    case 'update':
    case 'same':
    case 'resync':
    case 'add_client':
    case 'remove_client':
      return true;
    case 'add':
      return powers.adds?.includes((first ?? 'ordinary') as Held) ?? false;
    case 'remove':
      return powers.removes?.includes(first as Held) ?? false;
    case 'ban':
      return powers.bans?.includes(first as Held) ?? false;
    case 'unban':
      return powers.unbans ?? false;
    case 'role':
      return powers.promotes?.[first as Held]?.includes(second as Held) ?? false;
    case 'step':
      return powers.steps ?? false;
    case 'leave':
      return powers.leaves ?? false;
    case 'title':
      return powers.names ?? false;
    case 'policy':
      return powers.legislates ?? false;
    case 'psk':
      return powers.mixes ?? false;
    case 'send':
      return powers.writes ?? false;
    default:
      // `split`, `reinit` and `other` are nobody's.
      return false;
  }
}

function matrix() {
  return Object.keys(ROOMS).flatMap((room) =>
    ACTORS.flatMap((role) =>
      FORMS.map((form) => {
        // Whoever steps into the role that it has changes nothing: that is `same`.
        const deeds = DEEDS.map(([deed]) => deed).filter((deed) => deed !== `step ${role}`);
        const allowed = deeds.filter((deed) => isAllowed(room, role, deed, form));
        const refused = deeds.filter((deed) => !isAllowed(room, role, deed, form));
        return { room, role, form, allowed, refused };
      }),
    ),
  );
}

/** The cases that are not a matter of role and deed alone, as somebody wrote them down. */
interface Cases {
  readonly single: readonly unknown[];
  readonly commits: readonly unknown[];
}

function lines(rows: readonly unknown[]): string {
  return rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
}

function render({ single, commits }: Cases): string {
  const about = 'Made by libs/mls/authorize-vectors.ts, which says what each word means.';
  return `{
  "about": ${JSON.stringify(about)},
  "proposals": ${JSON.stringify(Object.fromEntries(DEEDS))},
  "matrix": [
${lines(matrix())}
  ],
  "single": [
${lines(single)}
  ],
  "commits": [
${lines(commits)}
  ]
}
`;
}

const file = new URL('vectors/authorize.json', import.meta.url);
const cases = new URL('vectors/authorize-cases.json', import.meta.url);
const rendered = render(JSON.parse(await readFile(cases, 'utf8')) as Cases);
if (argv[2] === '--check') {
  const isSame = (await readFile(file, 'utf8')) === rendered;
  if (!isSame) stderr.write('libs/mls/vectors/authorize.json is not what its generator writes\n');
  exit(isSame ? 0 : 1);
}
await writeFile(file, rendered);
stdout.write('wrote libs/mls/vectors/authorize.json\n');
