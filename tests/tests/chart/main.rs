//! What the chart makes of its values, as Helm itself renders it. No cluster is needed.

mod alerts;
mod contradictions;
mod dashboard;
mod definition;
mod documentation;
mod guards;
mod monitors;
mod notes;
mod operator;
mod rights;
mod surroundings;
