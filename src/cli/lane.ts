/** Entry of a lane's thread: gives the engine the storages that the composition root knows. */
import { parentPort, workerData } from 'node:worker_threads';
import { runLane } from '../engine/lanes/lane.ts';
import { openStorage } from './compose.ts';

if (parentPort) runLane(parentPort, workerData, (address) => openStorage(address, true));
