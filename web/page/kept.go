package page

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"
)

// keptLabels is the JSON of labels that are kept of a scan.
type keptLabels struct {
	Scan    string // its name
	From    string
	Labels  []Label
	Edited  bool
	Unsaved bool
	At      time.Time
}

// Kept are labels that this browser keeps of a scan.
type Kept struct {
	keptLabels
	Bytes int64
	key   string // in the store
	files []File // labels, and the uncertainty where it is known
}

const (
	labelsKey = "labels/" // and Looked.Hash
	mostKept  = 512 << 20 // bytes of labels; the oldest go
	mostMaps  = 50        // of as many scans
	keepPause = 2 * time.Second
)

// keepLabels keeps the labels over the scan in this browser, a while after the last
// change of them.
func (p *Page) keepLabels() {
	r, s := p.Result, p.Scan
	if r == nil || s == nil || s.Look.Hash == "" {
		return
	}
	r.kept, r.changes = false, r.changes+1
	now := r.changes
	p.Host.After(keepPause, func() {
		if p.Result == r && r.changes == now && !r.kept {
			p.putLabels()
		}
	})
}

// KeepAtOnce keeps what keepLabels still waits with.
func (p *Page) KeepAtOnce() {
	if r := p.Result; r != nil && r.changes > 0 && !r.kept {
		p.putLabels()
	}
}

func (p *Page) putLabels() {
	r, s := p.Result, p.Scan
	files := []File{{Path: "labels", Size: int64(len(r.Map))}, {Path: "uncertainty", Size: int64(len(r.Unsure))}}
	edited := r.Edited || p.Panel == PanelEdit && p.Edit.Map != nil && len(p.Edit.Map.Changes()) > 0
	meta, err := json.Marshal(keptLabels{s.Name, r.From, r.Labels, edited, r.unsaved, p.Host.Now()})
	if err != nil || files[0].Size+files[1].Size > mostKept {
		return
	}
	files[0].Blob = p.Host.BlobOf(r.Map)
	if r.Unsure == nil {
		files = files[:1]
	} else {
		files[1].Blob = p.Host.BlobOf(r.Unsure)
	}
	now := r.changes
	s.Kept = nil // they are replaced
	p.Host.Put(runStore, Stored{Key: labelsKey + s.Look.Hash, Meta: meta, Files: files}, func(err error) {
		if err != nil {
			return
		}
		if r.changes == now {
			r.kept = true
		}
		p.forgetOldest()
	})
}

// keptOf are labels that are stored; nil if it is something else, or damaged.
func keptOf(s Stored) *Kept {
	k := &Kept{key: s.Key, files: s.Files}
	if !strings.HasPrefix(s.Key, labelsKey) || json.Unmarshal(s.Meta, &k.keptLabels) != nil || len(s.Files) == 0 {
		return nil
	}
	for _, l := range k.Labels {
		if l.Value < 1 || l.Value > 255 {
			return nil
		}
	}
	for _, f := range s.Files {
		k.Bytes += f.Size
	}
	return k
}

// allKept finds the labels that are kept, the newest first, but for those of other tabs.
func (p *Page) allKept(got func([]*Kept)) {
	p.Host.All(runStore, func(list []Stored, err error) {
		if err != nil {
			return
		}
		var all []*Kept
		for _, s := range list {
			if k := keptOf(s); k != nil {
				all = append(all, k)
			}
		}
		sort.SliceStable(all, func(i, j int) bool { return all[i].At.After(all[j].At) })
		got(all)
	})
}

// forgetOldest holds what is kept within its bounds.
func (p *Page) forgetOldest() {
	p.allKept(func(all []*Kept) {
		bytes := int64(0)
		for i, k := range all {
			if bytes += k.Bytes; bytes > mostKept || i >= mostMaps {
				p.Host.Remove(runStore, k.key)
			}
		}
	})
}

// findKept offers the labels of s that are kept, unless there are others by then.
func (p *Page) findKept(s *Scan) {
	if s.Look.Hash == "" {
		return
	}
	p.allKept(func(all []*Kept) {
		for _, k := range all {
			if k.key == labelsKey+s.Look.Hash && p.Scan == s && p.Result == nil {
				s.Kept = k
			}
		}
	})
}

// Kept are labels of the scan that can be shown again, or nil.
func (p *Page) Kept() *Kept {
	if p.Scan == nil {
		return nil
	}
	return p.Scan.Kept
}

// Title says when they were made.
func (k *Kept) Title(now time.Time) string {
	return "Labels of this scan from " + clock(k.At, now) + " are kept"
}

// clock is a time of today, or a day.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2 January 2006, 15:04")
}

// Text says what they are.
func (k *Kept) Text() string {
	text := k.From
	if k.Edited {
		text += ", corrected"
	}
	return fmt.Sprintf("%s. %s on this computer, in this browser only.", text, Size(k.Bytes))
}

// ShowKept shows the labels that are kept over the scan.
func (p *Page) ShowKept() {
	s, k := p.Scan, p.Kept()
	if k == nil {
		return
	}
	g := s.Look.Grid.Shape
	wanted := func() bool { return p.Scan == s && s.Kept == k }
	damaged := func() {
		p.DropKept()
		p.Notice = "The labels that were kept cannot be read any more, and are removed."
	}
	p.Host.Hold(k.key)
	p.Host.Read(k.files[0].Blob, func(b Bytes, err error) {
		switch {
		case !wanted():
			return
		case err != nil || b.Len() != g[0]*g[1]*g[2]:
			damaged()
			return
		}
		r := resultOf(k.From, nil, b.Copy())
		r.restore(k)
		if len(k.files) < 2 {
			p.showKept(r)
			return
		}
		p.Host.Read(k.files[1].Blob, func(b Bytes, err error) {
			if !wanted() {
				return
			}
			if err == nil && b.Len() == len(r.Map) {
				r.Unsure = b.Copy()
			}
			p.showKept(r)
		})
	})
}

// restore gives the labels of r the looks that are kept. Those that no voxel has are
// there again, too.
func (r *Result) restore(k *Kept) {
	for _, l := range r.Labels {
		known := false
		for _, o := range k.Labels {
			known = known || o.Value == l.Value
		}
		if !known {
			k.Labels = append(k.Labels, l)
		}
	}
	r.Labels, r.Edited, r.unsaved = k.Labels, k.Edited, k.Unsaved
	r.kept, r.changes = true, 1
}

func (p *Page) showKept(r *Result) {
	p.Scan.Kept = nil
	p.showResult(r)
}

// DropKept forgets the labels that are offered.
func (p *Page) DropKept() {
	if k := p.Kept(); k != nil {
		p.RemoveKept(k)
	}
	p.Host.Focus(".panel [data-first]")
}

// RemoveKept forgets labels that are kept.
func (p *Page) RemoveKept(k *Kept) {
	p.Host.Remove(runStore, k.key)
	list := p.Stored.Labels[:0:0]
	for _, o := range p.Stored.Labels {
		if o.key != k.key {
			list = append(list, o)
		}
	}
	p.Stored.Labels = list
	if s := p.Scan; s != nil && k.key == labelsKey+s.Look.Hash {
		s.Kept = nil
		if p.Result != nil { // kept again when they are changed
			p.Result.kept, p.Result.changes = false, 0
		}
	}
	p.measureRoom()
}

// RemoveAllStored forgets all models and all labels that are kept.
func (p *Page) RemoveAllStored() {
	p.RemoveAllModels()
	for _, k := range p.Stored.Labels {
		p.RemoveKept(k)
	}
}

// unlessKept begins a segmentation that would replace the labels that are kept, when that
// was asked about.
func (p *Page) unlessKept(start func()) {
	k := p.Kept()
	if k == nil {
		start()
		return
	}
	p.Question = &Alert{
		Title: k.Title(p.Host.Now()), Text: k.Text() + " A segmentation takes their place.",
		Do: "Show them", OnDo: func() {
			p.Close()
			p.ShowKept()
		},
		Other: "Segment without them", OnOther: func() {
			p.Close()
			start()
		},
	}
	p.Show(DialogAsk)
}

// IsKept tells whether the labels, as they are now, are kept in this browser.
func (r *Result) IsKept() bool { return r.kept }
