package api

// The types of the server's REST are in rest_gen.go, made from server/openapi.yaml.
// What a specification does not name is here.

// JobState is where a job is.
type JobState = string

// States of a job.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// DICOMType is the media type of DICOM objects.
const DICOMType = "application/dicom"

// JobStates are all of them.
var JobStates = []string{JobQueued, JobRunning, JobDone, JobFailed, JobCancelled}

// JobOver says whether a state is final.
func JobOver(s JobState) bool { return s == JobDone || s == JobFailed || s == JobCancelled }

// Roles of those who ask, each may also do what those before it may.
const (
	RoleViewer = "viewer"
	RoleUser   = "user"
	RoleAdmin  = "admin"
)

// Priorities of jobs.
const (
	PriorityLow    = "low"
	PriorityNormal = "normal"
	PriorityHigh   = "high"
)

// Events of a stream of a job.
const (
	EventJob      = "job"      // Job
	EventProgress = "progress" // Progress
)

// StageWrite of a job follows StageSegment: files of the results; no numbers.
const StageWrite = "write"

// Codes of Failed that only a server has.
const (
	FailedDisk    = "disk"    // there is no room for the results
	FailedCrashed = "crashed" // the process that worked on it ended, more than once
)
