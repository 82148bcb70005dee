/** Entry of a lane's thread whose storage fails as the test says; see with-faults.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { runLane } from '../../src/engine/lanes/lane.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { withFaults } from './with-faults.ts';

if (parentPort) runLane(parentPort, workerData, async ({ url }) => withFaults(createLocalStorage(url), url));
