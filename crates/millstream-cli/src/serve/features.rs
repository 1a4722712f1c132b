//! Features, answered by the engine.

use async_trait::async_trait;
use millstream_engine::{MaterializeRequest as Views, PushTo, ReadableName};
use millstream_server::{
    ApiError, EntitySchema, FeatureBackend, HeldProject, JobReporter, MaterializeAnswer, MaterializeRequest,
    PushAnswer, PushRequest, PushSchema, PushTarget, ReadAnswer, ReadRequest, ReadTarget, Readiness,
    ServiceInfo, ViewFailed, ViewInfo, ViewMaterialized,
};

use super::{
    Backend, answers, describe,
    errors::{api_error, api_error_in},
    progress,
};

fn readable_name(target: &ReadTarget) -> ReadableName<'_> {
    match target {
        ReadTarget::Service { name, version } => {
            ReadableName::Service { name, version: version.map(i64::from) }
        }
        ReadTarget::Features(features) => ReadableName::Features(features),
    }
}

#[async_trait]
impl FeatureBackend for Backend {
    fn services(&self) -> Vec<ServiceInfo> {
        let live = self.live();
        describe::services(live.features.services(), live.engine.project())
    }

    fn views(&self) -> Vec<ViewInfo> {
        let live = self.live();
        let (views, stale) = (live.features.views(), self.stale());
        let view = |definition: &_| {
            let info = describe::view(definition, live.engine.project());
            ViewInfo { stale: stale.of_view(&info.name), ..info }
        };
        views.map(view).collect()
    }

    fn entity_schema(&self, target: &ReadTarget) -> Result<EntitySchema, ApiError> {
        let live = self.live();
        let readable = live.features.readable(readable_name(target)).map_err(api_error)?;
        let (keys, request) = (readable.keys.clone(), readable.request.clone());
        let features = readable.definition.features.len();
        Ok(EntitySchema { project: HeldProject::of(live), keys, request, features })
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, ApiError> {
        let live = self.held(&request.project);
        let readable = live.features.readable(readable_name(&request.target)).map_err(api_error)?;
        let columns = live
            .features
            .read(&readable, &request.entities, request.rows, request.at, request.encoding.as_deref())
            .await;
        let columns = match columns {
            Ok(columns) => columns,
            Err(error) => {
                live.engine.look_for_damage(&error).await;
                return Err(api_error_in("entities", error));
            }
        };
        Ok(ReadAnswer {
            columns: columns.into_iter().map(answers::column).collect(),
            stale: self.stale().of_views(live.features.read_views(&readable), &live.engine.project().graph),
            service_version: readable.version.and_then(|version| u32::try_from(version).ok()),
        })
    }

    fn push_schema(&self, name: &str) -> Result<PushSchema, ApiError> {
        let live = self.live();
        let schema = describe::push_schema(live.features.view(name).map_err(api_error)?);
        Ok(PushSchema { project: HeldProject::of(live), ..schema })
    }

    async fn push(&self, request: PushRequest) -> Result<PushAnswer, ApiError> {
        let to = match request.to {
            PushTarget::Online => PushTo::Online,
            PushTarget::Offline => PushTo::Offline,
            PushTarget::OnlineAndOffline => PushTo::OnlineAndOffline,
        };
        let live = self.held(&request.project);
        let rows = live.features.push(&request.name, request.rows, to).await;
        let rows = rows.map_err(|error| api_error_in("rows", error))?;
        Ok(PushAnswer { rows })
    }

    async fn materialize(
        &self,
        request: MaterializeRequest,
        job: JobReporter,
    ) -> Result<MaterializeAnswer, ApiError> {
        let MaterializeRequest { views, end, incremental } = request;
        let command = "POST /v1/features/materialize".to_owned();
        let principal = Some(job.principal().to_owned());
        let live = self.live();
        let events = progress::begin(&live.engine, &command, job.clone());
        let views = Views { views, full: !incremental, alone: false, until: end, command, principal };
        let cancel = job.cancelled().child_token();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let done = live.features.materialize(&views, events, cancel).await.map_err(api_error)?;
        let mut failed = Vec::new();
        for failure in done.failures {
            let error = api_error(failure.error);
            if failure.is_current {
                return Err(error);
            }
            let (code, hint) = (error.code().to_owned(), error.hint().map(str::to_owned));
            failed.push(ViewFailed { view: failure.view, code, message: error.to_string(), hint });
        }
        let views = done.reports.into_iter().map(|report| ViewMaterialized {
            view: report.view,
            rows: report.rows,
            left_out: report.left_out,
            table_version: report.table_version,
        });
        Ok(MaterializeAnswer { views: views.collect(), failed })
    }

    async fn ready(&self) -> Readiness {
        let (failed_reload, stale) = (self.failed_reload(), self.stale_count());
        match self.live().features.never_materialized().await {
            Ok(waiting_for) => Readiness { ready: waiting_for.is_empty(), waiting_for, failed_reload, stale },
            Err(error) => {
                let waiting_for = vec![format!("the online store ({})", api_error(error))];
                Readiness { ready: false, waiting_for, failed_reload, stale }
            }
        }
    }
}
