//! A web server in this process that keeps what is posted to it, and answers as it is told.

use std::future::poll_fn;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::Body;
use serde_json::Value;
use tokio::sync::oneshot;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub body: Value,
}

impl Posted {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }
}

/// What the server answers.
#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub delay: Duration,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// A refusal that asks to be tried again at once.
    pub fn again(status: u16) -> Self {
        Self {
            headers: vec![("retry-after", "0".to_owned())],
            ..Self::status(status)
        }
    }
}

type Decide = Box<dyn Fn(&Posted, usize) -> Reply + Send + Sync>;

struct State {
    decide: Decide,
    posted: Mutex<Vec<Posted>>,
}

pub struct Hook {
    pub endpoint: String,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
}

impl Hook {
    /// Starts a server; `decide` is told each request and how many came before.
    pub fn start(decide: impl Fn(&Posted, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            decide: Box::new(decide),
            posted: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            endpoint: format!("http://{address}"),
            state,
            stop: Some(stop),
        }
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.state.posted.lock().unwrap().len()
    }

    /// All requests so far, and forgets them.
    pub fn take(&self) -> Vec<Posted> {
        std::mem::take(&mut self.state.posted.lock().unwrap())
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone()));
            let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    let posted = Posted {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    let before = state.posted.lock().unwrap().len();
    let reply = (state.decide)(&posted, before);
    state.posted.lock().unwrap().push(posted);
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Body::from(reply.body)).unwrap())
}
