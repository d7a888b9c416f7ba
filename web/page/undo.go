package page

// step is a change of a result that can be taken back: the name or the colour of a
// label, or voxels that were corrected.
type step struct {
	what    string // "Name of Anterior"
	value   int    // of the label; 0: voxels
	was, is look
	voxels  []int32
	before  []byte // of voxels
	after   []byte
}

// look is how a label is called and drawn.
type look struct {
	name string
	rgb  [3]uint8
}

func (l *Label) look() look { return look{l.Name, l.RGB} }

// mostSteps can be taken back.
const mostSteps = 100

// did keeps a change that was made.
func (r *Result) did(s step) {
	r.done, r.undone = append(r.done, s), nil
	if len(r.done) > mostSteps {
		r.done = append(r.done[:0:0], r.done[1:]...)
	}
}

// relook changes the name or the colour of a label.
func (r *Result) relook(what string, l *Label, to look) {
	if was := l.look(); was != to {
		r.did(step{what: what + was.name, value: l.Value, was: was, is: to})
		l.Name, l.RGB = to.name, to.rgb
	}
}

// corrected keeps what a correction has changed, and tells whether it has.
func (r *Result) corrected(before []byte) bool {
	s := step{what: "Correction"}
	for i, v := range r.Map {
		if before[i] != v {
			s.voxels, s.before, s.after = append(s.voxels, int32(i)), append(s.before, before[i]), append(s.after, v)
		}
	}
	if len(s.voxels) > 0 {
		r.did(s)
	}
	return len(s.voxels) > 0
}

// CanUndo names the change that is taken back next, "" without one.
func (r *Result) CanUndo() string { return last(r.done) }

// CanRedo names the change that is made again next, "" without one.
func (r *Result) CanRedo() string { return last(r.undone) }

func last(list []step) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].what
}

// UndoResult takes the last name, colour or correction back.
func (p *Page) UndoResult() {
	if r := p.Result; r != nil && len(r.done) > 0 {
		s := r.done[len(r.done)-1]
		r.done, r.undone = r.done[:len(r.done)-1], append(r.undone, s)
		p.apply(s, s.was, s.before, " is taken back")
	}
}

// RedoResult makes it again.
func (p *Page) RedoResult() {
	if r := p.Result; r != nil && len(r.undone) > 0 {
		s := r.undone[len(r.undone)-1]
		r.undone, r.done = r.undone[:len(r.undone)-1], append(r.done, s)
		p.apply(s, s.is, s.after, " is made again")
	}
}

// apply puts a label's look, or voxels, to what they were before or after a step.
func (p *Page) apply(s step, to look, voxels []byte, said string) {
	r := p.Result
	r.Rename = notRenaming
	if s.value != 0 {
		if l := r.of(s.value); l != nil {
			l.Name, l.RGB = to.name, to.rgb
		}
		p.paint()
	} else {
		for k, i := range s.voxels {
			r.Map[i] = voxels[k]
		}
		r.Edited, r.unsaved = false, true
		for _, s := range r.done {
			r.Edited = r.Edited || s.value == 0
		}
		p.Host.Viewer().Labels(r.Map)
		p.paint()
		p.count()
		p.measure(false)
	}
	p.keepLabels()
	p.Host.Announce(s.what + said)
}
