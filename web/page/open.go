package page

import (
	"fmt"
	"path"
	"strings"

	"github.com/gounet/gounet/internal/api"
)

// Opening is files on their way to a scan.
type Opening struct {
	Files   []File
	Over    bool // files are dragged over the page
	Dragged int  // so many
	Busy    string
	List    *api.Listed
	Chosen  int
	Thumbs  map[string]string // addresses of pictures, by UID
	Skipped bool              // the skipped ones are shown
	Folder  string

	paused                bool // a segmentation was, for it
	interrupted, resuming *Interrupted

	id   int // of what the worker was asked last
	turn turn
}

// Scan is one that is open.
type Scan struct {
	api.Opened
	Look     api.Looked
	Files    []File
	Series   string // UID of DICOM
	Bytes    int64  // of the files
	SentAt   int64  // bytes that the page had sent when it was opened
	ToServer bool   // it was sent there, or is on its way
	Kept     *Kept  // labels of it that are offered
	gone     bool   // the worker was asked for another one
}

// accepted are the endings that a chooser of files shows.
const accepted = ""

// ChooseFiles asks for files of a scan.
func (p *Page) ChooseFiles() { p.Host.Choose(accepted, false, true, p.TakeFiles) }

// ChooseFolder asks for a folder of DICOM.
func (p *Page) ChooseFolder() { p.Host.Choose("", true, true, p.TakeFiles) }

// OpenExample opens a scan that comes with the page.
func (p *Page) OpenExample() {
	p.endOpening()
	still := p.Open.turn.still()
	p.Alert, p.Open.Busy = nil, "Getting the example"
	p.Host.Net().Fetch("example.nii", func(b Blob, size int64, err error) {
		if !still() {
			return
		}
		if err != nil {
			p.Open.Busy = ""
			p.fileAlert("The example did not arrive", sentence(err.Error()))
			return
		}
		p.TakeFiles([]File{{Path: "hippocampus_003.nii", Size: size, Blob: b}})
	})
}

// TakeFiles finds out what scans are in files.
func (p *Page) TakeFiles(files []File) {
	if len(files) == 0 {
		return
	}
	files = withoutHidden(files)
	if len(files) == 0 {
		p.fileAlert("There is no file in this folder", "Files whose names begin with a dot are left out.")
		return
	}
	p.endOpening()
	p.stopCheck()
	paused := p.computes() && p.Run.Stage != RunPausing
	p.Pause()
	p.Dialog = NoDialog // the screen behind it goes
	p.Alert, p.Screen = nil, ScreenOpen
	p.Open = Opening{paused: paused, interrupted: p.Open.interrupted, turn: p.Open.turn, Files: files, Busy: "Reading " + Plural(len(files), "file", "files"), Thumbs: map[string]string{}, Folder: folderOf(files)}
	list, blobs := sent(files)
	p.onTheWay(api.Request{PageRequest: api.PageRequest{List: &api.List{Files: list}}}, blobs, func(a api.Answer, _ []Bytes) {
		if a.Listed != nil {
			p.listed(a.Listed)
		}
	})
}

// onTheWay asks the worker for what leads to a scan.
func (p *Page) onTheWay(r api.Request, blobs []Blob, hear Hear) {
	still := p.Open.turn.still()
	p.Open.id = p.ask(r, blobs, func(a api.Answer, b []Bytes) {
		if still() {
			hear(a, b)
		}
	}, func(f *api.Failed) {
		if still() {
			p.notAScan(f)
		}
	})
}

// endOpening gives up what is on its way.
func (p *Page) endOpening() {
	if p.Open.Busy != "" && p.Open.id != 0 {
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: p.Open.id}}, nil, nil)
	}
	p.Open.Busy, p.Open.id = "", 0
	p.Open.turn++
}

func withoutHidden(files []File) (out []File) {
	for _, f := range files {
		if !strings.HasPrefix(path.Base(f.Path), ".") && path.Base(f.Path) != "DICOMDIR" {
			out = append(out, f)
		}
	}
	return out
}

func folderOf(files []File) string {
	if dir, _, ok := strings.Cut(files[0].Path, "/"); ok {
		return dir
	}
	return files[0].Path
}

// sent are files as a request names them.
func sent(files []File) (list []api.File, blobs []Blob) {
	seen := map[string]bool{}
	for _, f := range files {
		name := path.Clean(f.Path)
		for n := 2; seen[name]; n++ {
			name = fmt.Sprintf("%d/%s", n, path.Clean(f.Path))
		}
		seen[name] = true
		list = append(list, api.File{Name: name, Blob: len(blobs)})
		blobs = append(blobs, f.Blob)
	}
	return list, blobs
}

func (p *Page) notAScan(f *api.Failed) {
	p.Open.Busy = ""
	if p.Open.paused && p.Run.Stage == RunPaused && p.CanGoBack() {
		p.Notice = "What was opened is no scan: " + sentence(f.Reason) + " The segmentation goes on."
		p.Screen, p.Open.paused = ScreenWork, false
		p.GoOn()
		return
	}
	title := "This file cannot be read as a scan"
	if len(p.Open.Files) > 1 {
		title = "These files cannot be read as a scan"
	} else if len(p.Open.Files) == 1 {
		title = path.Base(p.Open.Files[0].Path) + " cannot be read as a scan"
	}
	if f.Code == api.FailedMemory {
		title = "This scan is too large for a browser"
	}
	p.fileAlert(title, p.unreadable(f))
}

// unreadable is why what was opened is no scan. The title has the name of a single file.
func (p *Page) unreadable(f *api.Failed) string {
	files, why := p.Open.Files, f.Reason
	if len(files) == 1 {
		why = strings.TrimPrefix(strings.TrimPrefix(why, "scan: "), path.Base(files[0].Path)+": ")
	}
	if !strings.HasSuffix(why, "not a DICOM file") || len(files) != 1 {
		return sentence(why)
	}
	switch { // what is nothing else is tried as DICOM last
	case files[0].Size == 0:
		return "The file is empty: fetch it again."
	case strings.EqualFold(path.Ext(files[0].Path), ".zip"):
		return "There is no DICOM in this zip. Files of other kinds are opened without a zip around them."
	}
	return "The file is of no kind that is read, or damaged."
}

func (p *Page) fileAlert(title, text string) {
	p.Screen = ScreenOpen
	p.Alert = &Alert{
		Title: title, Text: text, More: "Read are DICOM folders and zips, NIfTI, NRRD, MetaImage, MGH and Analyze.",
		Do: "Choose again", OnDo: p.ChooseFiles,
	}
	p.Host.Focus("[role=alert] button")
}

func (p *Page) listed(l *api.Listed) {
	p.Open.Busy = ""
	for i := range l.Series {
		s := &l.Series[i]
		s.Name, s.Modality, s.Why = short(s.Name, longName), short(s.Modality, longName), short(s.Why, longest)
		shorten(s.Warnings)
	}
	for i := range l.Skipped {
		l.Skipped[i] = api.Skipped{Name: short(l.Skipped[i].Name, longest), Why: short(l.Skipped[i].Why, longest)}
	}
	p.Open.List = l
	if len(l.Series) == 1 && l.Series[0].Why == "" {
		p.Open.Chosen = 0
		p.OpenSeries()
		return
	}
	for i, s := range l.Series {
		if s.Best {
			p.Open.Chosen = i
		}
	}
	p.Screen = ScreenSeries
	p.Host.Focus(".ser.on")
	p.thumb(0)
}

// thumb gets the pictures one after the other.
func (p *Page) thumb(i int) {
	list := p.Open.List
	const side = 192
	const largest = 400 << 20 // bytes: reading takes as long as opening
	for ; list != nil && i < len(list.Series); i++ {
		s := list.Series[i]
		if s.UID == "" || s.Why != "" || s.Bytes > largest {
			continue
		}
		next := func() {
			if p.Open.List == list && p.Screen == ScreenSeries {
				p.thumb(i + 1)
			}
		}
		p.ask(api.Request{PageRequest: api.PageRequest{Thumb: &api.Thumb{UID: s.UID, Side: side}}}, nil, func(a api.Answer, b []Bytes) {
			if a.Thumbed != nil {
				p.Open.Thumbs[s.UID] = p.Host.Grey(a.Thumbed.W, a.Thumbed.H, b[0])
			}
			next()
		}, func(*api.Failed) { next() })
		return
	}
}

// Choose marks a series.
func (p *Page) Choose(i int) {
	if l := p.Open.List; l != nil && i >= 0 && i < len(l.Series) && l.Series[i].Why == "" {
		p.Open.Chosen = i
	}
}

// OpenSeries opens the marked series.
func (p *Page) OpenSeries() {
	s := p.Open.List.Series[p.Open.Chosen]
	var series []string
	if s.UID != "" {
		series = []string{s.UID}
	}
	p.openFiles(p.Open.Files, series, s.Name)
}

// openFiles opens a scan in place of the one before.
func (p *Page) openFiles(files []File, series []string, name string) {
	p.unlessLost("Open another scan?", "Open without them", false, func() { p.openOver(files, series, name) })
}

func (p *Page) openOver(files []File, series []string, name string) {
	p.endOpening()
	p.stopCheck()
	p.Pause()
	if p.Scan != nil {
		p.Scan.gone = true
	}
	p.Open.Busy = "Opening " + name
	list, blobs := sent(files)
	p.onTheWay(api.Request{Open: &api.Open{Files: list, Series: series}}, blobs, func(a api.Answer, _ []Bytes) {
		if a.Opened != nil {
			s := &Scan{Opened: *a.Opened, Files: files}
			if name != "" {
				s.Name = name
			}
			s.Name = short(s.Name, longName)
			shorten(s.Warnings)
			if len(series) > 0 {
				s.Series = series[0]
			}
			for _, f := range files {
				s.Bytes += f.Size
			}
			p.look(s)
		}
	})
}

// look gets the voxels and shows them.
func (p *Page) look(s *Scan) {
	p.onTheWay(api.Request{PageRequest: api.PageRequest{Look: &api.Look{}}}, nil, func(a api.Answer, b []Bytes) {
		if a.Looked == nil {
			return
		}
		s.Look, s.SentAt = *a.Looked, p.Host.Facts().Sent
		p.KeepAtOnce()
		p.leave()
		resuming := p.Open.resuming // of this scan: another may be on its way when it is shown
		p.Open.resuming, p.Open.interrupted = nil, nil
		p.over(DialogExport, DialogCancel)
		p.Scan, p.Result, p.Other, p.Alert = s, nil, nil, nil
		p.Screen, p.Panel, p.Open.Busy, p.Open.List = ScreenWork, PanelScan, "", nil
		if n := len(s.Files); n > 1 && s.Channels == n && s.Series == "" {
			p.Notice = Count(int64(n)) + " files of one grid are opened as one scan with " + Plural(n, "channel", "channels") + "."
		}
		p.View.begin(p)
		p.Host.Viewer().Show(b[0], p.View.Low, p.View.High, func(err error) {
			if p.Scan != s {
				return
			}
			if err != nil {
				p.fileAlert("The scan cannot be shown", sentence(err.Error()))
				return
			}
			p.SetWindow(p.View.Low, p.View.High, p.View.Preset) // it may have been changed meanwhile
			p.resumeShown(resuming)
			p.findKept(s)
		})
		p.Host.Focus(".panel [data-first]")
	})
}

// leave ends what was of the scan before. A segmentation that is kept is offered where
// scans are opened.
func (p *Page) leave() {
	r := &p.Run
	if r.Stage == RunPaused && p.Open.resuming == nil {
		p.Notice = "The segmentation of " + p.Scan.Name + " is paused. It is offered again where scans are opened."
	}
	p.Run = Run{Last: r.Last, LastModel: r.LastModel, turn: r.turn + 1}
	p.Check.Result, p.Check.Failed, p.Models.needs = nil, nil, nil
	p.Check.OnServer = false // that was chosen for the scan before
	p.Diff, p.Edit, p.Export.Name = Compare{}, Edit{}, ""
	p.leaveJob()
}

// OpenAnother goes back to the first screen.
func (p *Page) OpenAnother() {
	p.endOpening()
	p.Screen, p.Alert, p.Open.List = ScreenOpen, nil, nil
	p.findInterrupted()
	p.Host.Focus(".open [data-first]")
}

// CanGoBack tells whether the scan before is still open.
func (p *Page) CanGoBack() bool { return p.Scan != nil && !p.Scan.gone }

// BackToScan shows it again.
func (p *Page) BackToScan() {
	p.endOpening()
	p.Screen, p.Alert, p.Open.List = ScreenWork, nil, nil
	if m := p.Model(); p.Panel == PanelCheck && m != nil && m.ID != "" {
		p.followServer()
	}
	p.Host.Focus(".panel [data-first]")
}

// Modality of the scan: CT, MR or not known.
func (s *Scan) Modality() string { return s.Look.Modality }

// Unit of the values.
func (s *Scan) Unit() string {
	if s.looksCT() {
		return "HU"
	}
	return s.Look.Unit
}

// looksCT tells a scan whose file does not say what it is, and that has values as air
// has in CT.
func (s *Scan) looksCT() bool {
	const airAbove = -500 // HU: air is −1000, and often cut somewhere above
	return s.Modality() == "" && s.Look.Unit == "" && s.Look.Min <= airAbove
}
