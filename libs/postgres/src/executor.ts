export interface Query {
  /** A named query is prepared once per connection. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** What statements run on: a `Database`, or a transaction of one. */
export interface Executor {
  query<Row extends object>(query: Query): Promise<Row[]>;
}
