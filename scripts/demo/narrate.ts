/** What the demo says while it works: chapters, and indented lines below them. */

let chapters = 0;

export function chapter(title: string): void {
  chapters += 1;
  console.log(`\n${chapters}. ${title}`);
}

export function say(line: string): void {
  console.log(`   ${line}`);
}
