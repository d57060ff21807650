import { isNativeError } from 'node:util/types';
import { errorCode } from '@roost/core/error-code';
import { Failure } from '@roost/core/failure';
import pg from 'pg';

/**
 * What PostgreSQL refused, without the values it names: its details quote keys, and its messages
 * about malformed values quote those, and neither may reach a log.
 */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly sqlState: string;
  readonly constraint: string | undefined;

  constructor(error: pg.DatabaseError, statement: string | undefined) {
    const sqlState = error.code ?? '?????';
    const quotesValues = sqlState.startsWith('22');
    const text = quotesValues ? 'a value does not fit' : error.message;
    super(`${statement ?? 'sql'}: ${text} (${sqlState})`);
    this.sqlState = sqlState;
    this.constraint = error.constraint;
  }
}

/** The name of the unique constraint or index that an insert or update ran into. */
export function uniqueViolation(error: unknown): string | undefined {
  return error instanceof SqlError && error.sqlState === '23505' ? error.constraint : undefined;
}

/** Whether PostgreSQL asks for the whole transaction to be run once more. */
export function isRetryable(error: unknown): boolean {
  return error instanceof SqlError && (error.sqlState === '40001' || error.sqlState === '40P01');
}

/** Whether it was not even looked at, as a statement before it in the transaction had failed. */
export function isAborted(error: unknown): boolean {
  return error instanceof SqlError && error.sqlState === '25P02';
}

/** Turns what `pg` throws into what our callers should hear. */
export function translate(error: unknown, statement?: string): unknown {
  if (error instanceof pg.DatabaseError) {
    const sqlError = new SqlError(error, statement);
    return isAway(sqlError.sqlState) ? unavailable(sqlError) : sqlError;
  }
  return isDisconnected(error) ? unavailable(error) : error;
}

function unavailable(cause: unknown): Failure {
  return new Failure('UNAVAILABLE', 'the database is away or overloaded', {}, cause);
}

function isAway(sqlState: string): boolean {
  return AWAY_CLASSES.has(sqlState.slice(0, 2)) || AWAY.has(sqlState);
}

/** Connection lost; out of disk, memory or connections; a system error below PostgreSQL. */
const AWAY_CLASSES = new Set(['08', '53', '58']);

const AWAY = new Set([
  '25006', // read only: this server is no longer the primary
  '25P03', // idle in a transaction for too long
  '25P04', // the transaction took too long
  '55P03', // a lock took too long
  '57014', // a statement took too long
  '57P01', // shutting down
  '57P02', // another backend crashed
  '57P03', // starting up
  '57P05', // idle for too long
]);

function isDisconnected(error: unknown): boolean {
  // Not `instanceof`: Node's own errors come from another realm than ours under Jest.
  if (!isNativeError(error)) return false;
  return SYSTEM_ERROR.test(errorCode(error) ?? '') || DISCONNECTED.test(error.message);
}

/** ECONNREFUSED, ENOENT (no socket), EPIPE, EAI_AGAIN and the like; a written-to stream that is gone. */
const SYSTEM_ERROR = /^E(?!RR_)[A-Z_]+$|^ERR_STREAM_/;

/** `pg` gives these neither a class nor a code. */
const DISCONNECTED =
  /^Connection terminated|^timeout e|not queryable$|^Query read timeout$|after calling end on the pool$/;
