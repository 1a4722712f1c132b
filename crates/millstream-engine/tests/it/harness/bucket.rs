//! The lake's files as one engine sees them: an object store over the shelf, behind the engine's line.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};

use super::{
    line::{Harm, Line},
    shelf::Shelf,
};

/// An object store for one engine, which fails once the engine's line is dead.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub shelf: Arc<Shelf>,
    pub line: Arc<Line>,
}

fn fault(harm: Harm, path: &Path) -> Error {
    match harm {
        Harm::Passing | Harm::Death => Error::Generic { store: "bucket", source: "the line is dead".into() },
        Harm::Lasting => Error::PermissionDenied { path: path.to_string(), source: "not for you".into() },
    }
}

impl Bucket {
    async fn pass<T>(
        &self,
        doing: &str,
        path: &Path,
        changes: bool,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let what = || format!("lake: {doing} {path}");
        self.line.pass(what, changes, |harm| fault(harm, path), work).await
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bucket")
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let work = async {
            let done = self.shelf.files.put_opts(path, payload, options).await;
            if done.is_ok() {
                self.shelf.has_put(path).await;
            }
            done
        };
        self.pass("put", path, true, work).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.pass("begin", path, false, self.shelf.files.put_multipart_opts(path, options));
        let upload = begun.await?;
        Ok(Box::new(PartUpload { bucket: self.clone(), path: path.clone(), upload }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let doing = if options.head { "look at" } else { "get" };
        let found = self.pass(doing, path, false, self.shelf.files.get_opts(path, options)).await?;
        Ok(GetResult { meta: self.shelf.dated(found.meta), ..found })
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.pass("get parts of", path, false, self.shelf.files.get_ranges(path, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        paths
            .and_then(move |path| {
                let bucket = bucket.clone();
                async move {
                    bucket.pass("delete", &path, true, bucket.shelf.files.delete(&path)).await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (bucket, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move {
            let work = bucket.shelf.files.list(Some(&prefix)).try_collect::<Vec<_>>();
            let found = bucket.pass("list", &prefix, false, work).await?;
            Ok::<_, Error>(stream::iter(found.into_iter().map(move |meta| Ok(bucket.shelf.dated(meta)))))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        let found = self.pass("list", &path, false, self.shelf.files.list_with_delimiter(prefix)).await?;
        let objects = found.objects.into_iter().map(|meta| self.shelf.dated(meta)).collect();
        Ok(ListResult { objects, ..found })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.pass("copy", to, true, self.shelf.files.copy_opts(from, to, options)).await?;
        self.shelf.has_put(to).await;
        Ok(())
    }
}

/// An upload in parts, which changes the world only at its end: then others can see the file.
#[derive(Debug)]
struct PartUpload {
    bucket: Bucket,
    path: Path,
    upload: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for PartUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (bucket, path, part) = (self.bucket.clone(), self.path.clone(), self.upload.put_part(data));
        Box::pin(async move { bucket.pass("put a part of", &path, false, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.bucket.pass("put", &self.path, true, self.upload.complete()).await;
        self.bucket.shelf.has_put(&self.path).await;
        done
    }

    async fn abort(&mut self) -> Result<()> {
        self.bucket.pass("give up", &self.path, false, self.upload.abort()).await
    }
}
