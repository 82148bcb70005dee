/** Landlock (docs.kernel.org/userspace-api/landlock.html): what this thread, and those that it starts, may no longer change. */
import type { RawString } from '../../model/raw-bytes.ts';
import { close, openDirectoryRoot } from './posix-open.ts';
import { call2, call3, call4, call5, scratch, sys } from './posix-syscall.ts';

/** `LANDLOCK_ACCESS_FS_*` of the first version: writing files, and removing and making whatever there can be in a directory. */
const writing = 1 << 1;
const removingAndMaking = 0b1_1111_1111 << 4;
const pathBeneath = 1;
const setNoNewPrivileges = 38;

/**
 * From now on, files are written, made and removed only below a directory. Files that are open stay as they are. For good.
 * @returns 0, or a negative errno: -ENOSYS or -EOPNOTSUPP on kernels without Landlock (before 5.13, or where it is not turned on).
 */
export function confineWrites(directory: RawString): number {
  const { bytes, address } = scratch().structure;
  bytes.writeBigUInt64LE(BigInt(writing | removingAndMaking), 0);
  const rules = call3(sys.landlock_create_ruleset, address, 8, 0);
  if (rules < 0) return rules;
  const beneath = openDirectoryRoot(directory);
  try {
    if (beneath < 0) return beneath;
    bytes.writeBigUInt64LE(BigInt(writing | removingAndMaking), 0);
    bytes.writeInt32LE(beneath, 8);
    const added = call4(sys.landlock_add_rule, rules, pathBeneath, address, 0);
    if (added < 0) return added;
    const promised = call5(sys.prctl, setNoNewPrivileges, 1, 0, 0, 0);
    return promised < 0 ? promised : call2(sys.landlock_restrict_self, rules, 0);
  } finally {
    if (beneath >= 0) close(beneath);
    close(rules);
  }
}
