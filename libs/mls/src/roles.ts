/** The numbers of the room's kinds on the wire. A room keeps its kind for ever. */
export const KINDS = { dm: 1, group: 2, group_dm: 3, public: 4 } as const;

/** The indexes of roles (standards §1.3). A user has exactly one, shared by all its clients. */
export const ROLES = {
  /** Whoever is not in the room. */
  none: 0,
  /** Whoever may not come in. */
  banned: 1,
  ordinary: 2,
  moderator: 3,
  admin: 4,
  /** The hub, as the group's external sender; never a participant. */
  policy_enforcer: 5,
  /** Reads, and does not write. */
  visitor: 6,
  owner: 7,
  /** Whoever left a group DM, and stays out of it. */
  departed: 8,
} as const;

/**
 * What roles may do, by the numbers of the MIMI registry (draft-ietf-mimi-room-policy); those that
 * it reserves are missing. From 0xF000 on they are ours.
 */
export const CAPABILITIES = {
  canAddParticipant: 0x0000,
  canRemoveParticipant: 0x0001,
  canAddOwnClient: 0x0002,
  canRemoveOwnClient: 0x0003,
  canOpenJoin: 0x0004,
  canJoinIfPreauthorized: 0x0005,
  canRemoveSelf: 0x0006,
  canUseJoinCode: 0x0009,
  canBan: 0x000a,
  canUnBan: 0x000b,
  canKick: 0x000c,
  canChangeUserRole: 0x000f,
  canChangeOwnRole: 0x0010,
  canSendMessage: 0x0100,
  canReceiveMessage: 0x0101,
  canCopyMessage: 0x0102,
  canReportAbuse: 0x0103,
  canReplyToMessage: 0x0104,
  canReactToMessage: 0x0105,
  canEditReaction: 0x0106,
  canDeleteOwnReaction: 0x0107,
  canDeleteOtherReaction: 0x0108,
  canEditOwnMessage: 0x0109,
  canDeleteOwnMessage: 0x010a,
  canDeleteOtherMessage: 0x010b,
  canStartTopic: 0x010c,
  canReplyInTopic: 0x010d,
  canEditOwnTopic: 0x010e,
  canEditOtherTopic: 0x010f,
  canUploadImage: 0x0200,
  canDownloadImage: 0x0201,
  canUploadAudio: 0x0202,
  canDownloadAudio: 0x0203,
  canUploadVideo: 0x0204,
  canDownloadVideo: 0x0205,
  canUploadAttachment: 0x0206,
  canDownloadAttachment: 0x0207,
  canSendLink: 0x0208,
  canSendLinkPreview: 0x0209,
  canFollowLink: 0x020a,
  canCopyLink: 0x020b,
  canChangeRoomName: 0x0300,
  canChangeRoomDescription: 0x0301,
  canChangeRoomAvatar: 0x0302,
  canChangeRoomSubject: 0x0303,
  canChangeRoomMood: 0x0304,
  canStartCall: 0x0400,
  canJoinCall: 0x0401,
  canSendAudio: 0x0402,
  canReceiveAudio: 0x0403,
  canSendVideo: 0x0404,
  canReceiveVideo: 0x0405,
  canShareScreen: 0x0406,
  canViewSharedScreen: 0x0407,
  canDestroyRoom: 0x0501,
  canChangeRoomMembershipStyle: 0x0502,
  canChangeRoleDefinitions: 0x0503,
  canChangePreauthorizedUserList: 0x0504,
  canSendMLSReinitProposal: 0x0601,
  /** May commit a PreSharedKey proposal. Ours: the MIMI drafts have no capability for it. */
  canUsePsk: 0xf001,
} as const;

export type RoomKind = keyof typeof KINDS;
export type Role = keyof typeof ROLES;
export type Capability = keyof typeof CAPABILITIES;

/** Kinds whose participants are settled when the room is founded. */
export function isFixed(kind: RoomKind): boolean {
  return kind === 'dm' || kind === 'group_dm';
}

/** The name of a number in one of the tables above. */
export function nameOf<Name extends string>(
  table: Readonly<Record<Name, number>>,
  number: number,
): Name | undefined {
  for (const name in table) if (table[name] === number) return name;
  return undefined;
}
