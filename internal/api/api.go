// Package api has the messages between a page and what computes for it, as JSON.
// It has no behaviour but what fills them in.
//
// The worker of the browser gets Requests and sends Answers. A message of either
// kind is a JavaScript object with the JSON as a string and what JSON cannot hold
// beside it, to which it refers by index:
//
//	to the worker    {request: string, blobs: [Blob, …]}
//	from the worker  {answer: string, buffers: [ArrayBuffer, …]}, the buffers transferred
//
// The first message that worker.js gets says where its program is:
//
//	{glue: address of wasm_exec.js, program: address of worker.wasm}
//
// The worker then sends Ready. Requests are worked off one after the other, but
// for Cancel, which is answered by the end of the request that it cancels.
package api

import "fmt"

// Request asks for one thing: the one field that is set.
type Request struct {
	ID      int      `json:"id"` // chosen by the page, more than 0; answers repeat it
	Load    *Load    `json:"load,omitempty"`
	Open    *Open    `json:"open,omitempty"`
	Segment *Segment `json:"segment,omitempty"`
	Cancel  *Cancel  `json:"cancel,omitempty"`
	PageRequest
}

// File is a blob of the message, or what is at an address.
type File struct {
	Name   string `json:"name"`          // with the folders that it was chosen in
	Blob   int    `json:"blob"`          // index in the message; meaningless if there is a URL
	URL    string `json:"url,omitempty"` // fetched and hashed as it arrives
	SHA256 string `json:"sha256,omitempty"`
}

// Load asks for a model: one .gounet file or the files of a model folder. The
// model before it is forgotten. Answered by Loaded.
type Load struct {
	Files []File `json:"files"`
}

// Open asks for a scan: a file, a file a channel, or the files of DICOM. The scan
// before it is forgotten. Answered by Opened.
type Open struct {
	Files  []File   `json:"files"`
	Series []string `json:"series,omitempty"` // of DICOM: number or UID, a channel each
}

// Segment asks for the labels of the scan. Answered by Progress, Partial, Saved and
// Done.
type Segment struct {
	Device   string   `json:"device,omitempty"`  // DeviceWebGPU or DeviceCPU; "": a real GPU, else the CPU
	Storage  string   `json:"storage,omitempty"` // of activations: f32 (also ""), f16
	Step     float64  `json:"step,omitempty"`    // largest move between tiles, in patches; 0: the model's
	Mirror   *[3]bool `json:"mirror,omitempty"`  // D H W, of the axes that the model allows; absent: all of those
	NoMirror bool     `json:"no_mirror,omitempty"`
	Memory   int64    `json:"memory_bytes,omitempty"` // bound on the device; 0: what the device says
	// SaveSeconds asks for a Saved as often as that; 0: only if a Cancel asks for it.
	SaveSeconds float64 `json:"save_seconds,omitempty"`
	Resume      *File   `json:"resume,omitempty"`      // what a Saved had: goes on from there
	Uncertainty bool    `json:"uncertainty,omitempty"` // a map of it too; states are not saved where the scan is worked off in slabs
	Page        bool    `json:"page,omitempty"`        // labels in the grid of Looked, and parts of them as Partial
}

// Kinds of devices.
const (
	DeviceWebGPU = "webgpu"
	DeviceCPU    = "cpu"
)

// Cancel ends a request, also one that waits for its turn.
type Cancel struct {
	Request int `json:"request"`
	// Save asks a segmentation for a Saved before it ends, after the tiles that run.
	// Without it the end comes between two submits to the device. Where a state does
	// not fit the memory, the end comes without one.
	Save bool `json:"save,omitempty"`
}

// Answer says one thing: the one field that is set.
type Answer struct {
	ID       int       `json:"id"` // of the request; 0 of Ready, and of a message that is no request
	Ready    *Ready    `json:"ready,omitempty"`
	Loaded   *Loaded   `json:"loaded,omitempty"`
	Opened   *Opened   `json:"opened,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	Saved    *Saved    `json:"saved,omitempty"`
	Done     *Done     `json:"done,omitempty"`
	Failed   *Failed   `json:"failed,omitempty"`
	PageAnswer
}

// Ready says what there is to compute with.
type Ready struct {
	Version string   `json:"version"`
	Devices []Device `json:"devices"`           // the one that is taken unless another is asked for first
	Missing []Device `json:"missing,omitempty"` // and Why
	StartMS float64  `json:"start_ms"`          // since the program was asked for
}

// Device is one that there is, or why there is none.
type Device struct {
	Kind        string `json:"kind"`
	Name        string `json:"name,omitempty"`
	Why         string `json:"why,omitempty"`      // it was chosen, or is not there
	Software    bool   `json:"software,omitempty"` // WebGPU that the processor computes
	BufferBytes int64  `json:"buffer_bytes,omitempty"`
	ValueBytes  int64  `json:"value_bytes,omitempty"`
	TotalBytes  int64  `json:"total_bytes,omitempty"` // 0: unknown
}

// Loaded describes a model.
type Loaded struct {
	Dataset       string   `json:"dataset"`
	Description   string   `json:"description,omitempty"` // of the data set
	Licence       string   `json:"licence,omitempty"`     // of the data set; "": not stated
	Configuration string   `json:"configuration"`
	Folds         []string `json:"folds"`
	Patch         [3]int   `json:"patch"` // D H W
	Channels      []string `json:"channels"`
	Labels        []Label  `json:"labels"`
	Networks      int      `json:"networks,omitempty"` // of a cascade, that run one after the other: 2; 0: one
	Bytes         int64    `json:"bytes"`
	SHA256        string   `json:"sha256"` // of the file, or of all names and hashes
}

// Label is a value of a label map.
type Label struct {
	Value  int     `json:"value"`
	Name   string  `json:"name"`
	Color  string  `json:"color"`            // #rrggbb
	Voxels int     `json:"voxels,omitempty"` // in Done
	ML     float64 `json:"ml,omitempty"`     // in Done: its volume
}

// LabelOf is a label in a colour.
func LabelOf(value uint8, name string, r, g, b uint8) Label {
	return Label{Value: int(value), Name: name, Color: fmt.Sprintf("#%02x%02x%02x", r, g, b)}
}

// CountLabels fills in how large labels are: voxels by their values, of ml each.
func CountLabels(list []Label, voxels [256]int, ml float64) {
	for i := range list {
		if v := list[i].Value; v >= 0 && v < len(voxels) {
			list[i].Voxels, list[i].ML = voxels[v], float64(voxels[v])*ml
		}
	}
}

// Grid is where voxels are.
type Grid struct {
	Shape   [3]int        `json:"shape"`   // D H W
	Spacing [3]float64    `json:"spacing"` // D H W, mm
	Affine  [4][4]float64 `json:"affine"`  // voxel (x, y, z) to mm, RAS+: x is the axis W, z the axis D
}

// Opened describes a scan.
type Opened struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Grid     Grid     `json:"grid"`
	Channels int      `json:"channels"`
	Type     string   `json:"type"` // of the values in the file
	Files    []string `json:"files"`
	Warnings []string `json:"warnings,omitempty"` // sentences: what was mended in it
}

// Stages of a request.
const (
	StageFetch      = "fetch"      // bytes
	StageRead       = "read"       // voxels of the scan; no numbers
	StagePreprocess = "preprocess" // no numbers
	StageSegment    = "segment"    // tiles, mirrored ones and folds counted each, of all networks of a cascade
)

// Last tells whether no other answer to the request follows.
func (a *Answer) Last() bool { return a.Progress == nil && a.Partial == nil && a.Saved == nil }

// Progress is how far a request is.
type Progress struct {
	Stage  string  `json:"stage"`
	Done   int64   `json:"done"`
	Of     int64   `json:"of"`      // 0: unknown
	LeftMS float64 `json:"left_ms"` // estimate; 0: unknown
	// Network is the one of Networks of a cascade that is at work, from 1 on; both are 0
	// for other models.
	Network  int `json:"network,omitempty"`
	Networks int `json:"networks,omitempty"`
	// Next is the tile that comes next, in the grid of Looked; nil unless Segment.Page.
	Next *Box `json:"next,omitempty"`
}

// Saved has the state of a segmentation in buffer 0, to be kept for Segment.Resume. That
// of the second network of a cascade has the labels of the first one.
// It is as large as the sums on the device: 4·(K+1) bytes for each voxel of the
// resampled scan, K being the classes, and one byte for each label.
type Saved struct {
	Done  int64 `json:"done"` // tiles that need not be done again
	Of    int64 `json:"of"`
	Bytes int64 `json:"bytes"`
}

// Done has the labels in buffer 0: a byte for each voxel of the grid, W fastest. With
// Uncertainty buffer 1 has 255 times the probability that each is wrong.
type Done struct {
	Uncertainty bool    `json:"uncertainty,omitempty"`
	Grid        Grid    `json:"grid"`
	Labels      []Label `json:"labels"` // without background
	Device      Device  `json:"device"` // Why says why it was chosen
	Times       Times   `json:"times"`
	Memory      Memory  `json:"memory"`
}

// Times are what the parts of a segmentation took.
type Times struct {
	ReadMS       float64 `json:"read_ms"`
	PreprocessMS float64 `json:"preprocess_ms"`
	ModelMS      float64 `json:"model_ms"` // weights to the device, the first time
	SegmentMS    float64 `json:"segment_ms"`
	TotalMS      float64 `json:"total_ms"`
}

// Memory is what a segmentation takes; of the networks of a cascade, the most, and the
// tiles and runs of all.
type Memory struct {
	DeviceBytes int64 `json:"device_bytes"`
	HostBytes   int64 `json:"host_bytes"` // at most, beside what the program has
	Tiles       int   `json:"tiles"`
	Runs        int   `json:"runs"`
	Planes      int   `json:"planes"` // on the device at once
	Depth       int   `json:"depth"`  // of the resampled scan
}

// Codes of Failed.
const (
	FailedRequest   = "request"   // it asks for what there is not
	FailedModel     = "model"     // files that are no model, or damaged
	FailedScan      = "scan"      // files that are no scan, or not one of this model
	FailedMemory    = "memory"    // Need and Have say how much
	FailedDevice    = "device"    // there is none, or it reports an error
	FailedLost      = "lost"      // the device is gone; the next request opens it again
	FailedFetch     = "fetch"     // the network, or the server
	FailedCancelled = "cancelled" // by Cancel
)

// Failed ends a request without a result.
type Failed struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Do     string `json:"do"` // what a user can do
	Need   int64  `json:"need_bytes,omitempty"`
	Have   int64  `json:"have_bytes,omitempty"`
}
