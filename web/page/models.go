package page

import (
	"encoding/json"
	"fmt"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Model is one that can be chosen.
type Model struct {
	api.Loaded
	Files []File // empty: on the server only
	Added time.Time
	From  string // "from a file", "from the server"
	ID    string // of the server
	Usual int64  // bytes that it takes for a usual scan, as the server says; 0: not known
}

// Models are those to choose from.
type Models struct {
	List   []Model
	Chosen string // SHA-256
	Search string
	All    bool // also those that do not fit
	Busy   string
	loaded string // that the worker has when it has done what it was asked; "": not known
	loads  turn
	needs  map[string]need
	asking int // ID of the request by which needs are found out; 0: none is under way
	given  int // ID of the last of them that was given up
}

// StoredModels is what the browser keeps.
type StoredModels struct {
	Used, Allowed int64
	Labels        []*Kept // of scans, when they were listed last
}

// storedModel is the JSON of a stored model.
type storedModel struct {
	Loaded api.Loaded
	Used   time.Time
	From   string
}

const modelStore = "models"

func (p *Page) loadStored() {
	p.Host.All(modelStore, func(list []Stored, err error) {
		if err != nil {
			return
		}
		for _, s := range list {
			var m storedModel
			if json.Unmarshal(s.Meta, &m) != nil {
				continue
			}
			p.Models.put(Model{Loaded: m.Loaded, Files: s.Files, Added: m.Used, From: m.From})
		}
		if p.Models.Chosen == "" && len(p.Models.List) > 0 {
			p.Models.Chosen = p.Models.List[0].SHA256
		}
		p.findNeeds()
	})
	p.measureRoom()
}

// measureRoom finds how much is stored, and how much may be.
func (p *Page) measureRoom() {
	p.Host.Room(func(used, allowed int64) { p.Stored.Used, p.Stored.Allowed = used, allowed })
}

// put adds a model or replaces it.
func (m *Models) put(n Model) {
	for i := range m.List {
		if m.List[i].SHA256 == n.SHA256 {
			if n.ID == "" {
				n.ID = m.List[i].ID
			}
			m.List[i] = n
			return
		}
	}
	m.List = append(m.List, n)
	sort.SliceStable(m.List, func(i, j int) bool { return m.List[i].Added.After(m.List[j].Added) })
}

// ChooseModel asks for a .gounet file.
func (p *Page) ChooseModel() { p.Host.Choose(".gounet,.zip", false, true, p.AddModel) }

// ChooseModelFolder asks for a model's folder.
func (p *Page) ChooseModelFolder() { p.Host.Choose("", true, true, p.AddModel) }

// AddModel loads a model and keeps it.
func (p *Page) AddModel(files []File) {
	if len(files) == 0 {
		return
	}
	files = withoutHidden(files)
	p.Models.Busy, p.Alert = "Checking "+path.Base(files[0].Path), nil
	if p.computes() {
		p.Notice = path.Base(files[0].Path) + " is checked as soon as the segmentation is over or paused."
	}
	p.load(files, "", func(l api.Loaded) {
		p.Models.Busy = ""
		m := Model{Loaded: shown(l), Files: files, Added: p.Host.Now(), From: "from a file"}
		p.Models.put(m)
		p.keep(m)
		p.take(m.SHA256)
		p.findNeeds()
		p.Notice = ""
		if p.Screen == ScreenWork && (p.Panel == PanelScan || p.Panel == PanelLabels) {
			p.Go(PanelModels)
		}
		if p.Screen != ScreenWork {
			p.Notice = "Model " + Title(m.Dataset) + " is stored."
			if p.Open.Busy == "" {
				p.Notice += " Drop a scan to go on."
			}
		}
	}, func(f *api.Failed) {
		p.Models.Busy = ""
		p.Alert = &Alert{
			Title: path.Base(files[0].Path) + " is no model that can be used", Text: sentence(f.Reason), More: sentence(f.Do),
			Do: "Choose another file", OnDo: p.ChooseModel,
		}
		p.Host.Focus("[role=alert] button")
		p.findNeeds()
	})
}

// load has the worker load a model, of whose file the SHA-256 is known or "". It is the
// ID of the request.
func (p *Page) load(files []File, sha string, then func(api.Loaded), failed func(*api.Failed)) int {
	list, blobs := sent(files)
	list[0].SHA256 = sha
	p.Models.loaded = ""
	p.Models.loads++
	still := p.Models.loads.still()
	return p.ask(api.Request{Load: &api.Load{Files: list}}, blobs, func(a api.Answer, _ []Bytes) {
		if a.Loaded == nil {
			return
		}
		if still() {
			p.Models.loaded = a.Loaded.SHA256
		}
		then(*a.Loaded)
	}, failed)
}

// take makes a model the chosen one, and checks it if one is being checked.
func (p *Page) take(sha string) {
	p.Models.Chosen = sha
	switch {
	case p.Panel != PanelCheck:
	case p.Model() == nil:
		p.Back()
	default:
		p.StartCheck()
	}
}

func (p *Page) keep(m Model) {
	meta, err := json.Marshal(storedModel{m.Loaded, p.Host.Now(), m.From})
	if err != nil {
		return
	}
	p.Host.Put(modelStore, Stored{Key: m.SHA256, Meta: meta, Files: m.Files}, func(err error) {
		if err != nil {
			p.Notice = "The model cannot be stored in this browser: " + err.Error() + ". It works until the page is closed."
			return
		}
		p.measureRoom()
	})
}

// RemoveModel forgets a stored model.
func (p *Page) RemoveModel(sha string) {
	p.Host.Remove(modelStore, sha)
	list := p.Models.List[:0]
	for _, m := range p.Models.List {
		if m.SHA256 != sha || m.ID != "" {
			if m.SHA256 == sha {
				m.Files = nil
			}
			list = append(list, m)
		}
	}
	p.Models.List = list
	if p.Models.Chosen == sha {
		if p.Model() == nil { // nor has the server it
			sha = ""
			if len(list) > 0 {
				sha = list[0].SHA256
			}
		}
		p.take(sha)
	}
	p.measureRoom()
}

// RemoveAllModels forgets all.
func (p *Page) RemoveAllModels() {
	for _, m := range append([]Model{}, p.Models.List...) {
		p.RemoveModel(m.SHA256)
	}
}

// Model is the chosen one, or nil.
func (p *Page) Model() *Model { return p.model(p.Models.Chosen) }

func (p *Page) model(sha string) *Model {
	for i := range p.Models.List {
		if p.Models.List[i].SHA256 == sha {
			return &p.Models.List[i]
		}
	}
	return nil
}

// Fit is why a model may not suit the scan.
type Fit struct {
	Why    string
	Unable bool // it cannot run at all
}

// FitOf compares a model with the scan.
func (p *Page) FitOf(m *Model) Fit {
	s := p.Scan
	if s == nil {
		return Fit{}
	}
	if s.Channels != len(m.Channels) {
		return Fit{fmt.Sprintf("Needs %s (%s); this scan has %s.", Plural(len(m.Channels), "channel", "channels"),
			strings.Join(m.Channels, ", "), Plural(s.Channels, "channel", "channels")), true}
	}
	if of, have := m.Modality(), s.Modality(); of != "" && have != "" && of != have {
		return Fit{fmt.Sprintf("Trained on %s; this scan is %s.", of, have), false}
	}
	if m.Modality() == "MR" && s.looksCT() {
		return Fit{"Trained on MR; this scan looks like CT.", false}
	}
	if m.Modality() == "CT" && s.Modality() == "" && s.Look.Min >= 0 {
		return Fit{"Trained on CT; no value of this scan is below 0, as air is in CT.", false}
	}
	if s.Look.Grid.Shape[0] == 1 && m.Patch[0] > 1 {
		return Fit{"Trained on volumes; this scan is one image.", true}
	}
	if n := p.Models.needs[m.SHA256]; n.have > 0 {
		why := fmt.Sprintf("Needs %s for this scan; %s are available here.", Size(n.bytes), Size(n.have))
		if server, _ := p.serverFor(m); server != "" {
			why += " Runs on the server."
		}
		return Fit{why, false}
	}
	return Fit{}
}

// Modality is what the channels' names say: CT, MR or not known.
func (m *Model) Modality() string {
	for _, c := range m.Channels {
		switch c := strings.ToUpper(c); {
		case c == "CT":
			return "CT"
		case strings.HasPrefix(c, "MR"), strings.HasPrefix(c, "T1"), strings.HasPrefix(c, "T2"), strings.HasPrefix(c, "FLAIR"):
			return "MR"
		}
	}
	return ""
}

// Purpose is what the data set was made for, and the labels.
func (m *Model) Purpose() string {
	return strings.TrimSpace(sentence(m.Description) + " " + m.labels())
}

// Namesake tells whether another model has the name of m.
func (p *Page) Namesake(m *Model) bool {
	for i := range p.Models.List {
		if o := &p.Models.List[i]; o.SHA256 != m.SHA256 && Title(o.Dataset) == Title(m.Dataset) {
			return true
		}
	}
	return false
}

// labels names them.
func (m *Model) labels() string {
	var names []string
	for i, l := range m.Labels {
		if i == 6 {
			names = append(names, fmt.Sprintf("%d more", len(m.Labels)-i))
			break
		}
		names = append(names, strings.ReplaceAll(l.Name, "_", " "))
	}
	return sentence(strings.Join(names, ", "))
}

// ListedModels are those that the panel shows; fit and all count the stored ones.
func (p *Page) ListedModels() (list []*Model, fit, all int) {
	for i := range p.Models.List {
		m := &p.Models.List[i]
		all++
		fits := p.FitOf(m).Why == ""
		if fits {
			fit++
		}
		if !p.Models.All && !fits {
			continue
		}
		text := strings.ToLower(Title(m.Dataset) + " " + m.Purpose())
		if strings.Contains(text, strings.ToLower(strings.TrimSpace(p.Models.Search))) {
			list = append(list, m)
		}
	}
	return list, fit, all
}

// withModel calls then as soon as the worker has a model, or failed, unless that is no
// longer wanted.
func (p *Page) withModel(m Model, wanted func() bool, then func(), failed func(*api.Failed)) {
	if p.Models.loaded == m.SHA256 {
		then()
		return
	}
	p.load(m.Files, "", func(l api.Loaded) {
		switch kept := p.model(m.SHA256); {
		case !wanted():
		case l.SHA256 != m.SHA256:
			failed(&api.Failed{Code: api.FailedModel, Reason: "the stored model has another SHA-256 than when it was stored", Do: "remove it and add it again"})
		default:
			if kept != nil && len(kept.Files) > 0 { // not removed since
				p.keep(*kept)
			}
			p.withModel(m, wanted, then, failed) // the worker may have been asked for another one since
		}
	}, func(f *api.Failed) {
		if wanted() {
			failed(f)
		}
	})
}
