/**
 * A copy of the `holdfast.yaml` by which a daemon works. The file itself may be changed, wrong or gone at any time; jobs, processes of their
 * own, read the copy and take it for the file: relative paths start at that one's folder, and messages name it.
 */
import { replaceFile } from '../restoring/journal-file.ts';

const head = '# The configuration in effect, of ';

/** @param file the absolute path of the original. @throws `target-unwritable`. */
export async function writeCopyInEffect(copy: string, text: string, file: string): Promise<void> {
  await replaceFile(copy, `${head}${JSON.stringify(file)}\n${text}`, { mode: 0o600 });
}

/** The file of which a text is such a copy; undefined when it is none. */
export function originalOf(text: string): string | undefined {
  if (!text.startsWith(head)) return undefined;
  try {
    const file: unknown = JSON.parse(text.slice(head.length, text.indexOf('\n')));
    return typeof file === 'string' && file.startsWith('/') ? file : undefined;
  } catch {
    return undefined;
  }
}
