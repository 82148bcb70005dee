/** The last outcome of something, given again for as long as all that it was made of is the same. */
export type Kept<Value> = (of: readonly unknown[], make: () => Value) => Value;

export function kept<Value>(): Kept<Value> {
  let last: { of: readonly unknown[]; value: Value } | undefined;
  return (of, make) => {
    if (last === undefined || !areSame(last.of, of)) last = { of, value: make() };
    return last.value;
  };
}

const areSame = (a: readonly unknown[], b: readonly unknown[]): boolean => a.length === b.length && a.every((one, i) => one === b[i]);
