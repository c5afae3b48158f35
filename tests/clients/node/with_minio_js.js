// minio-js.
import { Client, CopyDestinationOptions, CopySourceOptions } from "minio";
import { serve, settings } from "./serving.js";

const [endPoint, port] = settings.host.split(":");
const connect = (more) =>
  new Client({
    endPoint,
    port: Number(port),
    useSSL: settings.is_secure,
    accessKey: settings.access_key,
    secretKey: settings.secret_key,
    ...more,
  });
const s3 = connect({});
const inParts = connect({ partSize: settings.part_bytes });
const bucket = settings.bucket;

await serve({
  make_bucket: async () => void (await s3.makeBucket(bucket)),
  put: async ({ key, source }) => void (await s3.fPutObject(bucket, key, source)),
  put_in_parts: async ({ key, source }) => void (await inParts.fPutObject(bucket, key, source)),
  get: async ({ key, target }) => void (await s3.fGetObject(bucket, key, target)),
  get_range: async ({ key, start, stop }) => {
    const chunks = [];
    for await (const chunk of await s3.getPartialObject(bucket, key, start, stop - start)) chunks.push(chunk);
    return Buffer.concat(chunks).toString("base64");
  },
  list: async ({ prefix }) => {
    const found = [];
    for await (const entry of s3.listObjectsV2(bucket, prefix, true)) found.push([entry.name, entry.size]);
    return found;
  },
  copy: async ({ source, target }) => {
    const origin = new CopySourceOptions({ Bucket: bucket, Object: source });
    await s3.copyObject(origin, new CopyDestinationOptions({ Bucket: bucket, Object: target }));
  },
  delete: async ({ key }) => void (await s3.removeObject(bucket, key)),
});
process.exit(0);
