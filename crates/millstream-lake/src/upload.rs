//! Streams a file into an object store while it is written: bounded memory, uploads on their own runtime.

use std::{
    io::{self, Write},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, path::Path as ObjectPath};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
};

/// The size of one part in bytes. Every store takes parts of this size, and smaller files go in one request.
const PART_BYTES: usize = 8 << 20;
/// The number of parts that wait for the network before the writer waits as well.
const QUEUED_PARTS: usize = 2;
/// The number of parts that are on the wire at the same time.
const PARALLEL_PARTS: usize = 4;

enum Message {
    Part(Bytes),
    /// All parts were sent. A channel that closes without this message means that the writer gave up.
    Complete,
}

/// A `Write` whose bytes become one object once [`Upload::complete`] is called.
pub(crate) struct Upload {
    buffer: BytesMut,
    parts: Option<Sender<Message>>,
    task: Option<JoinHandle<object_store::Result<()>>>,
}

impl Upload {
    pub(crate) fn new(runtime: &Handle, store: Arc<dyn ObjectStore>, path: ObjectPath) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUED_PARTS);
        let task = runtime.spawn(upload(store, path, receiver));
        Self { buffer: BytesMut::new(), parts: Some(sender), task: Some(task) }
    }

    /// Sends the bytes that are left; the returned task ends when the object is stored.
    pub(crate) fn complete(&mut self) -> io::Result<JoinHandle<object_store::Result<()>>> {
        self.send()?;
        self.push(Message::Complete)?;
        self.parts = None;
        self.task.take().ok_or_else(ended)
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            let part = self.buffer.split().freeze();
            self.push(Message::Part(part))
        }
    }

    /// Blocks while the queue is full; the receiver runs on a runtime of its own, so it always moves on.
    fn push(&self, message: Message) -> io::Result<()> {
        let sender = self.parts.as_ref().ok_or_else(ended)?;
        // Tokio would tell a task that has used up its turn to let others run first, and the task would wait for that
        // here for ever.
        let sent = tokio::task::unconstrained(sender.send(message));
        futures::executor::block_on(sent).map_err(|_| ended())
    }
}

fn ended() -> io::Error {
    io::Error::other("the upload ended early")
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn upload(
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    mut messages: Receiver<Message>,
) -> object_store::Result<()> {
    let Some(Message::Part(first)) = messages.recv().await else { return Ok(()) };
    let Some(second) = messages.recv().await else { return Ok(()) };
    let second = match second {
        Message::Complete => return store.put(&path, first.into()).await.map(|_| ()),
        Message::Part(part) => part,
    };
    let mut multipart = WriteMultipart::new_with_chunk_size(store.put_multipart(&path).await?, PART_BYTES);
    multipart.put(first);
    multipart.put(second);
    loop {
        match messages.recv().await {
            Some(Message::Part(part)) => {
                multipart.wait_for_capacity(PARALLEL_PARTS).await?;
                multipart.put(part);
            }
            Some(Message::Complete) => return multipart.finish().await.map(|_| ()),
            None => return multipart.abort().await,
        }
    }
}
