/** The parts of undici that carry requests: loading all of it takes twice as long. The types are the package's own. */
declare module 'undici/lib/dispatcher/pool.js' {
  import type { Pool } from 'undici';

  const constructor: typeof Pool;
  export default constructor;
}

declare module 'undici/lib/api/api-request.js' {
  import type { Dispatcher } from 'undici';

  /** `Dispatcher.request`, for dispatchers that were loaded alone. */
  const request: (this: Dispatcher, options: Dispatcher.RequestOptions) => Promise<Dispatcher.ResponseData>;
  export default request;
}
