/** The daemon on a real Docker Engine: a first start with a compose file alone, and kills in the middle of its cuts. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { jobLinesOf, jobProcessesOf, jobsOf, onlyBackups, runsOf } from '../control/daemon-process.ts';
import { importImage, startDockerEngine } from '../docker-engine.ts';
import { scratch } from '../peers.ts';
import { type Document, documents, holdfast, holdfastProgram, run } from '../programs.ts';
import { cutProject, fillVolume, startService, stateOf } from './cut-project.ts';
import { logOf, startUp } from './daemon-project.ts';

const image = 'busybox:test';
const busy = ['sh', '-c', 'trap exit TERM; while true; do date > /data/now; sleep 0.1; done'];
const schedule = (name: string) => `schedules: { ${name}: { every: 365d } }\n${onlyBackups}`;
const composeFile = (more = '') => `name: shop
services:
  web: { image: "${image}", volumes: ["data:/data", "uploads:/uploads", "./conf:/etc/web:ro"] }
volumes: { data: , uploads: ${more} }
`;

test('the daemon on Docker', async (t) => {
  const engine = await startDockerEngine(t);
  if (engine === undefined) return;
  importImage(engine, 'busybox');

  await t.test(
    'a compose file alone: volumes are protected, and it is said how; a volume that comes later is missed',
    { timeout: 120_000 },
    async (t) => {
      const folder = scratch(t);
      const environment = { DOCKER_HOST: `unix://${engine.socket}`, HOLDFAST_STATE_DIR: join(folder, 'state') };
      mkdirSync(join(folder, 'conf'));
      writeFileSync(join(folder, 'compose.yaml'), composeFile());
      const web = startService(engine, 'web', {
        image,
        options: ['--volume=shop_data:/data', '--volume=shop_uploads:/uploads'],
        command: busy,
      });
      t.after(() => engine.docker('rm', '--force', '--volumes', web));
      fillVolume(engine.directoryOf('shop_uploads'), 20);
      const statusOf = () => {
        const { status, stdout } = run(holdfastProgram, ['--directory', folder, '--json', 'status'], { environment, exit: [0, 1, 3] });
        return { status, ...documents(stdout)[0] };
      };

      const first = startUp(t, folder, environment);
      await first.until(/2 snapshots came/);
      assert.match(first.said(), /wrote \S+holdfast.yaml: 2 volumes \(data, uploads\)/);
      assert.match(first.said(), /not covered: bind mount .\/conf at \/etc\/web/);
      assert.match(first.said(), /KEEP A COPY OF \S+holdfast.key ELSEWHERE, NOW: off this host/);
      assert.match(first.said(), /the next backup is due/);
      assert.doesNotMatch(first.said(), /2\. holdfast backup/);
      assert.equal(statSync(join(folder, 'holdfast.key')).mode & 0o777, 0o600);
      assert.equal(stateOf(engine, web), 'running');
      const good = statusOf();
      assert.deepEqual([good.status, good.condition], [0, 'good'], JSON.stringify(good));
      const taken = documents(holdfast(folder, ['--json', 'snapshots'], { environment }).stdout);
      assert.deepEqual(taken.map(({ volume, consistency }) => `${volume} ${consistency}`).sort(), ['data paused', 'uploads paused']);

      writeFileSync(join(folder, 'compose.yaml'), composeFile(', extra: '));
      await first.until(/compose.yaml has volumes that holdfast.yaml does not name, and no backup holds them: extra/);
      // The daemon's own opinion is some seconds old.
      while (statusOf().condition === 'good') await setTimeout(100);
      const missed = statusOf();
      assert.deepEqual([missed.status, missed.reasons.map(({ kind }: { kind: string }) => kind)], [3, ['not-covered']]);
      writeFileSync(join(folder, 'compose.yaml'), composeFile());
      assert.equal(await first.end(), 0);

      const second = startUp(t, folder, environment);
      await second.until(/the next backup is due/);
      assert.equal(await second.end(), 0);
      assert.doesNotMatch(second.said(), /KEEP A COPY|wrote|created|not covered/);
      assert.equal(logOf(second.said()).filter(({ severityText }) => severityText !== 'INFO').length, 0, second.said());
      assert.equal(readdirSync(join(folder, 'holdfast-repository', 'snapshots')).length, 2);
    },
  );

  await t.test(
    'volumes that labels declare are judged from the first start on, also those that come later, and empty ones are good',
    { timeout: 120_000 },
    async (t) => {
      const project = cutProject(t, engine, '{ data: { criticality: low } }', `${schedule('rare')}objectives: { rpo: 1000d }\n`);
      const labelled = (key: string, ...labels: string[]) => {
        const own = ['com.docker.compose.project=shop', `com.docker.compose.volume=${key}`, ...labels];
        engine.docker('volume', 'create', ...own.flatMap((label) => ['--label', label]), `shop_${key}`);
      };
      const web = startService(engine, 'web', { image, options: ['--volume=shop_data:/data'], command: ['sleep', '1000000'] });
      labelled('cache', 'holdfast.criticality=moderate');
      labelled('scratch', 'holdfast.enabled=false');
      t.after(() => {
        engine.docker('rm', '--force', '--volumes', web);
        for (const volume of ['data', 'cache', 'scratch', 'late']) engine.docker('volume', 'rm', '--force', `shop_${volume}`);
      });
      const statusOf = () => {
        const { volumes, condition, daemon } = project.holdfast(['status'], [0, 1, 3]).events[0] as Document;
        return { volumes: volumes.map(({ volume }: { volume: string }) => volume), condition, daemon };
      };
      const daemon = startUp(t, project.folder, project.environment);
      await daemon.until(/backups hold what labels declare, too: cache/);
      await daemon.until(/backup to local: succeeded/);
      while (statusOf().condition !== 'good') await setTimeout(200);
      assert.deepEqual(statusOf(), { volumes: ['data', 'cache'], condition: 'good', daemon: true });
      assert.doesNotMatch(daemon.said(), /scratch|no Docker Engine/);

      const declared = project.holdfast(['volumes', '--declared']).events[0] as Document;
      assert.deepEqual([declared.engine, declared.labelled], [true, ['cache']]);
      assert.equal(project.holdfast(['diff', 'cache', '--live']).status, 0);
      // Of an archive, too, the volume is known.
      project.holdfast(['export', 'cache', '--output', join(project.folder, 'cache.tar')]);
      const imported = project.holdfast(['import', '--force', join(project.folder, 'cache.tar')]);
      assert.equal(imported.events.find((event) => event.archive !== undefined)?.volumes[0].declared, true);

      labelled('late', 'holdfast.size=1Gi');
      await daemon.until(/backups hold what labels declare, too: late/);
      assert.deepEqual(statusOf(), { volumes: ['data', 'cache', 'late'], condition: 'broken', daemon: true });
      project.holdfast(['jobs', 'start', 'backup', '--volume', 'late', '--follow']);
      while (statusOf().condition !== 'good') await setTimeout(200);
      assert.equal(await daemon.end(), 0);
      assert.deepEqual(statusOf(), { volumes: ['data', 'cache', 'late'], condition: 'good', daemon: false });
      const taken = project.holdfast(['snapshots']).events.map(({ volume, run }) => `${run} ${volume}`);
      assert.equal(new Set(taken).size, taken.length);
      assert.equal(
        new Set(taken.map((one) => one.split(' ')[0])).size,
        3,
        'one backup at the start, one that was asked for, and the archive',
      );
    },
  );

  await t.test(
    'kills while one container is paused and another one stops: both come back, and the backup is made up for once',
    { timeout: 120_000 },
    async (t) => {
      const project = cutProject(t, engine, '{ data: , logs: { cut: stop } }', schedule('first'));
      const logs = engine.directoryOf('shop_logs');
      // Halted first, since it depends on the other.
      const db = startService(engine, 'db', {
        image,
        options: ['--volume=shop_data:/data'],
        dependsOn: 'web:service_started:false',
        command: busy,
      });
      const web = startService(engine, 'web', {
        image,
        options: ['--volume=shop_logs:/logs', '--stop-timeout=60'],
        command: ['sh', '-c', 'trap "touch /logs/asked; until test -e /logs/may; do sleep 0.05; done; exit" TERM; sleep 1000 & wait'],
      });
      t.after(() => engine.docker('rm', '--force', '--volumes', db, web));
      const states = () => [db, web].map((name) => stateOf(engine, name));
      const untilHalting = async () => {
        while (!existsSync(join(logs, 'asked'))) await setTimeout(5);
        // It runs until it may end.
        assert.deepEqual(states(), ['paused', 'running']);
      };
      const isWaitedFor = /killed while it stopped containers; waiting for .*shop-web-1/;
      const isBack = /brought back what it had halted: shop-db-1, shop-web-1/;

      const stateFolder = join(project.folder, 'state', 'daemon');
      const stateFile = () => join(stateFolder, readdirSync(stateFolder)[0] as string, 'state.sqlite');
      // Whoever comes first brings it back, and says so: the daemon, or its next job.
      let told = 0;
      const untilUndone = async (by: { said(): string }, pattern: RegExp) => {
        while (!pattern.test(by.said()) && !pattern.test(jobLinesOf({ stateFile }).slice(told))) await setTimeout(50);
      };

      const daemon = startUp(t, project.folder, project.environment);
      await untilHalting();
      const [job] = jobProcessesOf(daemon.pid);
      process.kill(job as number, 'SIGKILL');
      await untilUndone(daemon, isWaitedFor);
      assert.deepEqual(states(), ['running', 'running'], 'what was paused does not wait for what stops');
      writeFileSync(join(logs, 'may'), '');
      await untilUndone(daemon, isBack);
      assert.deepEqual(states(), ['running', 'running']);

      for (const file of ['asked', 'may']) rmSync(join(logs, file));
      const file = join(project.folder, 'holdfast.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace('first:', 'second:'));
      process.kill(daemon.pid, 'SIGHUP');
      await untilHalting();
      const children = jobProcessesOf(daemon.pid);
      assert.equal(children.length, 1);
      for (const pid of [daemon.pid, ...children]) process.kill(pid, 'SIGKILL');
      await daemon.end('SIGKILL');
      told = jobLinesOf({ stateFile }).length;

      const next = startUp(t, project.folder, project.environment);
      await untilUndone(next, isWaitedFor);
      writeFileSync(join(logs, 'may'), '');
      await next.until(/backup to local: succeeded/);
      await untilUndone(next, isBack);
      assert.deepEqual(states(), ['running', 'running']);
      assert.equal(await next.end(), 0);

      const known = { folder: project.folder, file, environment: project.environment, stateFile };
      assert.deepEqual(
        jobsOf(known).map(({ schedule, state, losses }) => [schedule, state, losses]),
        [
          ['schedule first', 'cancelled', undefined],
          ['schedule second', 'succeeded', 1],
        ],
      );
      const runs = [...runsOf(known).values()];
      assert.deepEqual(
        runs.map((snapshots) => snapshots.map(({ volume, consistency }) => `${volume} ${consistency}`).sort()),
        [['data paused', 'logs stopped']],
      );
      for (const left of ['holdfast-repository/locks', 'state/cuts']) assert.deepEqual(readdirSync(join(project.folder, left)), [], left);
    },
  );
});
