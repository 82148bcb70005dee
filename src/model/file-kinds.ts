/**
 * What kinds of files a volume holds, told by the extensions of their names: how many of each, as one short text that a snapshot carries.
 * `jpg=120 =7 ?=3 *=40` is 120 files whose names end in `.jpg`, 7 without an extension, 3 of unknown extensions that are not listed, and 40
 * of well-known ones that are not listed.
 */

/** Of extensions that are not listed: unknown or odd ones, and well-known ones. */
export const unknownRest = '?';
export const knownRest = '*';

/** So many kinds are listed: one that is more than a sixteenth of all is among them. */
const mostListed = 16;
/** Longer ones are sentences with a full stop. */
export const longestExtension = 12;

/** What a program or a person may put into a volume any day. Many of them at once are no news. */
const wellKnown: ReadonlySet<string> = new Set(
  [
    '',
    // text, documents
    'txt md mdx rst tex bib log csv tsv json jsonl json5 ndjson xml xsd xsl yaml yml toml ini cfg conf config properties env lock sum',
    'pdf doc docx docm dot dotx xls xlsx xlsm xlsb ppt pptx pptm odt ods odp odg rtf pages numbers key epub mobi eml msg ics vcf po pot mo',
    // pictures, sound, film, fonts
    'jpg jpeg png gif bmp tif tiff webp avif heic heif svg ico psd ai eps raw cr2 cr3 nef arw dng orf rw2 xcf xmp thm',
    'mp3 mp4 m4a m4v m4b aac flac ogg opus oga wav wma aiff mid mov avi mkv webm mpg mpeg mts m2ts wmv flv ts vob srt vtt sub nfo',
    'ttf otf woff woff2 eot',
    // code, and what is made of it
    'js mjs cjs jsx tsx cts css scss sass less html htm xhtml vue svelte map snap php phtml twig py pyi pyc pyo pyx ipynb rb erb gemspec pl pm',
    'java kt kts scala groovy gradle class jar war ear c h cc cpp cxx hh hpp hxx inc ipp m mm swift go rs rlib rmeta d r lua jl dart zig nim',
    'ex exs erl hs ml mli clj cljs elm cs fs vb sln csproj nupkg sh bash zsh fish ps1 bat cmd vim el sql proto graphql gql tf tfvars hcl',
    'o a so lo la ko obj lib dll exe pdb dylib bin elf wasm node whl egg pth deb rpm apk msi dmg patch diff rej orig in am ac mk cmake make pc',
    'tmpl tpl j2 hbs ejs pug snapshot test spec flow typed editorconfig gitignore npmignore eslintrc prettierrc babelrc sample example tags',
    // archives, disks
    'zip tar gz tgz bz2 tbz xz txz zst lz4 lzma 7z rar cab iso img qcow2 vmdk vdi vhd vhdx ova',
    // databases, queues, caches, what programs keep
    'db db3 sqlite sqlite3 wal shm journal mdb accdb dbf frm ibd myd myi ibt ldb sst log1 rdb aof wt bson dump bak backup old tmp temp swp part',
    'pack idx rev keep index timeindex txnindex checkpoint cfs cfe si fdt fdx fdm fnm tim tip tmd doc pos pay nvd nvm dvd dvm kdd kdi kdm liv',
    'mrk mrk2 mrk3 cmrk2 cmrk3 parquet orc avro arrow feather npy npz h5 hdf5 pkl pt pth onnx ckpt safetensors gguf dat data cache blob chunk',
    'pid sock state status meta info cnf crt cer pem pub asc sig gpg p12 pfx jks der csr crl',
  ].flatMap((line) => line.split(' ')),
);

/** Extensions that ransomware has given what it encrypted, and that little else gives. */
const ofRansomware: ReadonlySet<string> = new Set(
  [
    'locked locky lock64 lockbit crypt crypted crypto crypz encrypted encrypt enc1 enciphered cipher ransom wncry wcry wncryt wnry ryk ryuk conti',
    'akira cerber cerber2 cerber3 zepto odin thor aesir zzzzz osiris phobos dharma wallet eking makop maze sodinokibi revil blackcat basta',
    'royal hive play medusa babyk avos avos2 cuba clop snake ragnar netwalker gandcrab krab stop djvu vvv ccc xyz1 micro ttt ecc ezz exx',
    'kraken petya rhysida trigona blackbit bianlian mallox lokilocked lockedfile lck r5a xtbl decrypt2017 darkness nochance crinf r4a zeus',
  ].flatMap((line) => line.split(' ')),
);

export const isWellKnown = (kind: string): boolean => wellKnown.has(kind) || kind === knownRest;
export const isOfRansomware = (kind: string): boolean => ofRansomware.has(kind);

/** The kind that an extension, as it stands in a name, is of. */
export function kindOf(extension: string): string {
  if (extension.length > longestExtension) return unknownRest;
  const lower = extension.toLowerCase();
  return /^[a-z0-9_]*$/.test(lower) ? lower : unknownRest;
}

/**
 * The text of a count: the kinds of most files, and what ransomware leaves before all, are listed; the rest is summed up.
 * @param counts by kind, `unknownRest` and `knownRest` among them.
 */
export function textOfKinds(counts: ReadonlyMap<string, number>): string {
  const isRest = (kind: string) => kind === unknownRest || kind === knownRest;
  const order = [...counts].filter(([kind]) => !isRest(kind)).sort(byWeight);
  const listed = order.slice(0, mostListed);
  const rests = { [unknownRest]: counts.get(unknownRest) ?? 0, [knownRest]: counts.get(knownRest) ?? 0 };
  for (const [kind, files] of order.slice(mostListed)) rests[isWellKnown(kind) ? knownRest : unknownRest] += files;
  return [...listed, ...Object.entries(rests).filter(([, files]) => files > 0)].map(([kind, files]) => `${kind}=${files}`).join(' ');
}

function byWeight([a, filesA]: [string, number], [b, filesB]: [string, number]): number {
  return Number(isOfRansomware(b)) - Number(isOfRansomware(a)) || filesB - filesA || (a < b ? -1 : 1);
}

export type FileKinds = {
  listed: ReadonlyMap<string, number>;
  unknown: number;
  known: number;
  total: number;
  /** Of kinds that are not well known. */
  unfamiliar: number;
  /** A kind that is not listed has at most so many files, nor more than the rest that it is of. */
  least: number;
};

/** Longer than any that was written: somebody else's. */
const longestText = 1_000;

/** Reads a text of kinds; what is none of it is passed over. */
export function parseKinds(text: string): FileKinds {
  const listed = new Map<string, number>();
  const kinds = { unknown: 0, known: 0, total: 0, unfamiliar: 0, least: Number.POSITIVE_INFINITY };
  for (const part of text.length > longestText ? [] : text.split(' ')) {
    const cut = part.lastIndexOf('=');
    const files = Number(part.slice(cut + 1));
    if (cut < 0 || !Number.isSafeInteger(files) || files < 0) continue;
    const kind = part.slice(0, cut);
    kinds.total += files;
    if (!isWellKnown(kind)) kinds.unfamiliar += files;
    if (kind === unknownRest) kinds.unknown = files;
    else if (kind === knownRest) kinds.known = files;
    else {
      listed.set(kind, files);
      if (!isOfRansomware(kind)) kinds.least = Math.min(kinds.least, files);
    }
  }
  return { listed, ...kinds };
}
