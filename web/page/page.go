// Package page is what the radiologist's page knows and does: scan, model, run,
// review. It draws nothing and knows no browser; components read a Page and call its
// methods, and a Host does what only a browser can.
//
// The one idea: all state is in one Page, which one goroutine at a time changes.
// What takes long is asked of the Host, and what comes back is a call of a function
// that was handed over.
package page

import (
	"slices"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Blob is a file or bytes that the browser keeps.
type Blob any

// Bytes are memory of the browser.
type Bytes interface {
	Len() int
	Copy() []byte
	Blob() Blob
}

// File is a file that somebody chose.
type File struct {
	Path string // with the folders that it was chosen in
	Size int64
	Blob Blob
}

// Stored is what the browser keeps for later.
type Stored struct {
	Key   string
	Meta  []byte // JSON
	Files []File
}

// Hear gets the answers to a request, the last one last.
type Hear func(a api.Answer, buffers []Bytes)

// Host is the browser. What it hands functions to is called back later, never before
// it returns.
type Host interface {
	Ask(r api.Request, blobs []Blob, hear Hear) (id int)
	Choose(accept string, folder, many bool, got func([]File))
	Save(name string, b Blob)
	BlobOf(b []byte) Blob
	Grey(w, h int, b Bytes) string // address of a picture of grey pixels
	// Put keeps something. What one tab of the browser has put or holds is not among All
	// of another as long as it is open.
	Put(store string, s Stored, done func(error))
	Hold(key string)
	All(store string, got func([]Stored, error))
	Remove(store, key string)
	Read(b Blob, got func(Bytes, error))
	Room(got func(used, allowed int64))
	After(d time.Duration, f func())
	Now() time.Time
	Focus(selector string) // after the next drawing
	FocusBack()            // to what had it before a dialog
	Reload()
	Theme(dark bool)
	Announce(text string)
	CopyText(text string)
	Facts() Facts
	Viewer() Viewer
	Net() Net
}

// Facts are what a browser says of itself.
type Facts struct {
	Agent       string
	Adapter     [][2]string // names and values of the GPU, for the diagnostics
	Limits      [][2]string
	LongestTask float64 // of the main thread, ms
	Sent        int64   // bytes, by the page
	Online      bool
	Version     string
	HeapBytes   int64
}

// Viewer shows scan and labels.
type Viewer interface {
	Show(nifti Bytes, low, high float64, done func(error)) // low is black, high white
	Hide()
	Window(low, high float64)
	Labels(m []byte) // nil: none
	Part(offset int, b []byte)
	Box(lo, shape [3]int, b Bytes) // labels, x y z; above none or others
	Paint(lut []byte, fill, outline float64)
	Surfaces(list []Surface)
	Surface(value int, color [3]uint8, visible bool)
	Redraw()
	Go(x, y, z int)
	Step(view, n int)
	Zoom(factor float64)
	Reset()
	Radiological(yes bool)
	Tool(name string)
	Voxels() []float32
	Picture(notes Picture, got func(Blob))
}

// Surface is one to be shown.
type Surface struct {
	Value int
	Color [3]uint8
	Bytes Bytes
}

// Screen is what is shown in the place of the image.
type Screen int

// The screens.
const (
	ScreenOpen Screen = iota
	ScreenSeries
	ScreenWork
)

// Panel is what is shown at the right of the image.
type Panel int

// The panels, in the order of the flow.
const (
	PanelScan Panel = iota
	PanelModels
	PanelCheck
	PanelRun
	PanelServer
	PanelLabels
	PanelEdit
	PanelCompare
)

// Dialog is what lies over all.
type Dialog int

// The dialogs.
const (
	NoDialog Dialog = iota
	DialogExport
	DialogDiagnostics
	DialogModels
	DialogKeys
	DialogMenu
	DialogCancel
	DialogAsk
)

// Alert says what happened, and what to do.
type Alert struct {
	Title, Text, More      string
	Do, Other, Third       string // names of buttons
	OnDo, OnOther, OnThird func()
	Warn                   bool
	Need, Have             int64 // bytes of memory; 0: it is about something else
}

// Page is all that is known.
type Page struct {
	Host     Host
	Screen   Screen
	Panel    Panel
	Dialog   Dialog
	Alert    *Alert // on the open screen, or in the panel
	Notice   string // a line below the bar
	Question *Alert // of DialogAsk
	Dark     bool

	Ready  *api.Ready
	Open   Opening
	Scan   *Scan
	View   View
	Models Models
	Check  Check
	Run    Run
	Result *Result
	Other  *Result // that Result is compared with
	Diff   Compare
	Edit   Edit
	Export Export
	Server Server

	Stored StoredModels

	typing typing
}

// New is a page of a host.
func New(h Host) *Page {
	p := &Page{Host: h, Dark: true}
	p.View.Layout, p.View.Radiological, p.View.Tool = "1+3", true, "cross"
	p.View.Fill, p.View.Opacity = true, 40
	p.loadStored()
	p.findInterrupted()
	p.findServer()
	return p
}

// Hello takes what the worker says first.
func (p *Page) Hello(r *api.Ready) { p.Ready = r }

// WorkerDied tells that the worker is no more.
func (p *Page) WorkerDied(why string) {
	p.Ready = nil
	p.Check.Busy, p.Open.Busy, p.Models.Busy, p.Models.loaded = "", "", "", ""
	p.Models.asking = 0
	if p.Run.Stage != "" {
		p.Run.Stage = RunStopped
	}
	switch { // where no alert is shown
	case p.Screen == ScreenSeries:
		p.Screen = ScreenOpen
	case p.Panel == PanelEdit || p.Panel == PanelCompare:
		p.Notice = "The program that computes has ended. What is seen stays, but files cannot be written any more: load the page again."
	}
	p.Alert = &Alert{
		Title: "The program that computes has ended", Text: why + ".",
		More: "Usually memory is short. What is kept of a segmentation is offered when the page is loaded again.", Do: "Reload the page", OnDo: p.Host.Reload,
	}
}

// Adapter names what computes.
func (p *Page) Adapter() string {
	if p.Ready == nil {
		return "Starting"
	}
	if c := p.Check.Result; c != nil {
		return DeviceName(c.Device)
	}
	if len(p.Ready.Devices) == 0 {
		return "Nothing to compute with"
	}
	name := DeviceName(p.Ready.Devices[0])
	switch {
	case p.NoGPU() == "":
		return name
	case p.softwareOnly():
		return name + "; WebGPU in software only"
	}
	return name + "; no WebGPU"
}

// MemoryText is what the last check has planned to take on the device, "" without one.
func (p *Page) MemoryText() string {
	c := p.Check.Result
	if c == nil {
		return ""
	}
	s := "Memory " + Size(c.Memory.DeviceBytes)
	if c.Device.Kind == api.DeviceWebGPU {
		s = "GPU " + Size(c.Memory.DeviceBytes)
	}
	if c.Device.TotalBytes > 0 {
		s += " of " + Size(c.Device.TotalBytes)
	}
	return s
}

// softwareOnly tells WebGPU that the processor computes, by why it is not taken.
func (p *Page) softwareOnly() bool { return strings.Contains(p.NoGPU(), "software adapter") }

// DeviceName is a device as people call it.
func DeviceName(d api.Device) string {
	switch {
	case d.Software:
		return plainDevice(d.Name) + ", WebGPU in software"
	case d.Kind == api.DeviceWebGPU:
		return plainDevice(d.Name) + ", WebGPU"
	}
	if strings.HasPrefix(d.Name, cpuName) {
		return plainDevice(d.Name)
	}
	return "Processor"
}

// As devices are named: then come the kernels of a processor, or what the GPU is.
const cpuName, gpuName = "cpu (", "webgpu ("

// plainDevice is a device's name as people call it.
func plainDevice(name string) string {
	if n, ok := strings.CutPrefix(name, cpuName); ok {
		return "Processor (" + n
	}
	if n, ok := strings.CutPrefix(name, gpuName); ok {
		return strings.TrimSuffix(n, ")")
	}
	return name
}

// NoGPU is why there is no WebGPU, "" if there is, or nothing is known yet.
func (p *Page) NoGPU() string {
	if p.Ready == nil {
		return ""
	}
	for _, d := range p.Ready.Missing {
		if d.Kind == api.DeviceWebGPU {
			return d.Why
		}
	}
	return ""
}

// Step is the step of the flow, 0 to 3.
func (p *Page) Step() int {
	switch p.Panel {
	case PanelScan:
		return 0
	case PanelModels:
		return 1
	case PanelCheck, PanelRun, PanelServer:
		return 2
	}
	return 3
}

// ToggleTheme changes dark and light.
func (p *Page) ToggleTheme() {
	p.Dark = !p.Dark
	p.Host.Theme(p.Dark)
}

// Show opens a dialog.
func (p *Page) Show(d Dialog) {
	p.Dialog = d
	if d != NoDialog {
		p.Host.Focus(".scrim [data-first], .menu [data-first]")
	}
	if d == DialogModels {
		p.loadStored()
		p.allKept(func(all []*Kept) { p.Stored.Labels = all })
	}
}

// Close closes the dialog.
func (p *Page) Close() {
	p.Dialog = NoDialog
	p.Host.FocusBack()
}

// over closes a dialog about what is no more.
func (p *Page) over(list ...Dialog) {
	if slices.Contains(list, p.Dialog) {
		p.Close()
	}
}

// Go shows a panel.
func (p *Page) Go(panel Panel) {
	p.stopCheck()
	if panel != PanelLabels {
		p.ShowUncertainty(false)
	}
	if p.Panel == PanelEdit && panel != PanelEdit {
		p.View.setTool(p, "cross")
	}
	p.endPart()
	p.Panel, p.Alert = panel, nil
	switch panel {
	case PanelModels:
		p.loadStored() // and finds what they need
	case PanelCheck:
		p.StartCheck()
	}
	p.Host.Focus(".panel [data-first]")
}

// Back goes one panel back.
func (p *Page) Back() {
	switch p.Panel {
	case PanelModels:
		if p.Result != nil {
			p.Go(PanelLabels)
			return
		}
		p.Go(PanelScan)
	case PanelCheck:
		p.Go(PanelModels)
	case PanelEdit, PanelCompare:
		p.Go(PanelLabels)
	default:
		p.Go(PanelScan)
	}
}

// ask asks the worker; a failure goes to failed, all else to hear.
func (p *Page) ask(r api.Request, blobs []Blob, hear Hear, failed func(*api.Failed)) int {
	return p.Host.Ask(r, blobs, func(a api.Answer, b []Bytes) {
		if a.Failed != nil {
			if failed != nil {
				failed(a.Failed)
			}
			return
		}
		hear(a, b)
	})
}
