// AWS's SDK for JavaScript, version 3: bodies are streams of files.
import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { serve, settings } from "./serving.js";

const s3 = new S3Client({ endpoint: settings.url, forcePathStyle: true });
const Bucket = settings.bucket;
const escaped = (key) => key.split("/").map(encodeURIComponent).join("/");

await serve({
  make_bucket: async () => void (await s3.send(new CreateBucketCommand({ Bucket }))),
  put: async ({ key, source }) => {
    const ContentLength = (await stat(source)).size;
    const Body = createReadStream(source);
    await s3.send(new PutObjectCommand({ Bucket, Key: key, Body, ContentLength }));
  },
  put_in_parts: async ({ key, source }) => {
    const params = { Bucket, Key: key, Body: createReadStream(source) };
    await new Upload({ client: s3, params, partSize: settings.part_bytes }).done();
  },
  get: async ({ key, target }) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: key }));
    await pipeline(Body, createWriteStream(target));
  },
  get_range: async ({ key, start, stop }) => {
    const Range = `bytes=${start}-${stop - 1}`;
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: key, Range }));
    return await Body.transformToString("base64");
  },
  list: async ({ prefix }) => {
    const found = [];
    for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: prefix })) {
      found.push(...(page.Contents ?? []).map((entry) => [entry.Key, entry.Size]));
    }
    return found;
  },
  copy: async ({ source, target }) => {
    const CopySource = `${Bucket}/${escaped(source)}`;
    await s3.send(new CopyObjectCommand({ Bucket, Key: target, CopySource }));
  },
  delete: async ({ key }) => void (await s3.send(new DeleteObjectCommand({ Bucket, Key: key }))),
});
s3.destroy();
