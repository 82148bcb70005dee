/** Entry of a lane's thread whose storage fails by chance; see flaky-storage.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { runLane } from '../../src/engine/lanes/lane.ts';
import { flakyStorage } from './flaky-storage.ts';

if (parentPort) runLane(parentPort, workerData, async ({ url }) => flakyStorage(url));
