//! Tells containerd what happens, in the order in which it happened.

use containerd_shim::asynchronous::publisher::RemotePublisher;
use containerd_shim::event::Event;
use containerd_shim::protos::protobuf::MessageDyn;
use containerd_shim::protos::ttrpc::context::Context;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Entry = (String, Box<dyn MessageDyn>);

/// Where events go.
#[derive(Clone, Debug)]
pub(crate) struct Events(UnboundedSender<Entry>);

impl Events {
    /// Publishes from now on. The publisher keeps what containerd cannot take while it restarts.
    pub(crate) fn start(publisher: RemotePublisher, namespace: String) -> Self {
        let (sender, mut receiver) = unbounded_channel::<Entry>();
        tokio::spawn(async move {
            while let Some((topic, event)) = receiver.recv().await {
                if let Err(e) = publisher.publish(Context::default(), &topic, &namespace, event).await {
                    log::warn!("cannot publish {topic}: {e}");
                }
            }
        });
        Self(sender)
    }

    /// Publishes an event.
    pub(crate) fn send(&self, event: impl Event + 'static) {
        // Fails only when the shim is ending.
        let _ = self.0.send((event.topic(), Box::new(event)));
    }
}
