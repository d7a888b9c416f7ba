package page

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// fake is a host that keeps what it is told.
type fake struct {
	asked   []api.Request
	hear    []Hear
	saved   []string
	stored  map[string]Stored
	net     []string
	answers []func(status int, body []byte)
	sent    []byte                            // with the last request to the server
	lost    func()                            // of the last watch
	told    func(arrived int64, waiting bool) // of the last upload
	busy    func(arrived int64, why string)   // too: the server answers something else
	shownTo []string                          // keys that the server was shown
	uploads int
	rests   []bool   // how uploads were stopped: kept, or not
	keys    []string // of what is posted once
	holds   []string
	full    error // of what is stored
	waits   bool  // what is for later does not come
	unread  error // of what is read again
	now     time.Time
	fakeViewer
}

func newFake() *fake {
	return &fake{stored: map[string]Stored{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (f *fake) Ask(r api.Request, _ []Blob, hear Hear) int {
	r.ID = len(f.asked) + 1
	f.asked, f.hear = append(f.asked, r), append(f.hear, hear)
	return r.ID
}

// to is how the last request is answered, later perhaps.
func (f *fake) to() Hear { return f.hear[len(f.hear)-1] }

// answer answers the last request.
func (f *fake) answer(a api.Answer, b ...Bytes) { f.hear[len(f.hear)-1](a, b) }
func (f *fake) last() api.Request               { return f.asked[len(f.asked)-1] }

func (f *fake) Choose(string, bool, bool, func([]File)) {}
func (f *fake) Save(name string, _ Blob)                { f.saved = append(f.saved, name) }
func (f *fake) BlobOf(b []byte) Blob                    { return b }
func (f *fake) Grey(int, int, Bytes) string             { return "picture" }
func (f *fake) Put(store string, s Stored, done func(error)) {
	f.stored[store+"/"+s.Key] = s
	done(f.full)
}
func (f *fake) Hold(key string)          { f.holds = append(f.holds, key) }
func (f *fake) Remove(store, key string) { delete(f.stored, store+"/"+key) }
func (f *fake) Read(b Blob, got func(Bytes, error)) {
	bytes, _ := b.([]byte)
	got(held(bytes), f.unread)
}

func (f *fake) Room(func(used, allowed int64)) {}
func (f *fake) Now() time.Time                 { return f.now }
func (f *fake) Focus(string)                   {}
func (f *fake) FocusBack()                     {}
func (f *fake) Reload()                        {}
func (f *fake) Theme(bool)                     {}
func (f *fake) Announce(string)                {}
func (f *fake) CopyText(string)                {}
func (f *fake) Facts() Facts                   { return Facts{Online: true} }
func (f *fake) Viewer() Viewer                 { return &f.fakeViewer }
func (f *fake) Net() Net                       { return f }

func (f *fake) After(_ time.Duration, later func()) {
	if !f.waits {
		later()
	}
}

func (f *fake) All(store string, got func([]Stored, error)) {
	var list []Stored
	for _, k := range slices.Sorted(maps.Keys(f.stored)) {
		if strings.HasPrefix(k, store+"/") {
			list = append(list, f.stored[k])
		}
	}
	got(list, nil)
}

// kept counts what is stored, by the first letters of its key.
func (f *fake) kept(prefix string) (n int) {
	for k := range f.stored {
		if strings.HasPrefix(k, runStore+"/"+prefix) {
			n++
		}
	}
	return n
}

func (f *fake) Fetch(path string, got func(Blob, int64, error)) {
	f.net = append(f.net, "fetch "+path)
	f.answers = append(f.answers, func(status int, b []byte) {
		if status/100 != 2 {
			got(nil, 0, errors.New("the connection was cut"))
			return
		}
		got(b, int64(len(b)), nil)
	})
}

// count is how often the server was asked for something.
func (f *fake) count(what string) (n int) {
	for _, s := range f.net {
		if s == what {
			n++
		}
	}
	return n
}

func (f *fake) Key(key string) { f.shownTo = append(f.shownTo, key) }

func (f *fake) JSON(method, path string, body []byte, got func(int, []byte)) {
	f.sent = body
	f.net, f.answers = append(f.net, method+" "+path), append(f.answers, got)
}

func (f *fake) Once(path, key string, body []byte, got func(int, []byte)) {
	f.keys = append(f.keys, key)
	f.JSON("POST", path, body, got)
}

// Upload keeps how it is told; each upload has the next ID unless it has one.
func (f *fake) Upload(file File, id string, told func(string, int64, bool, string), got func(string, error)) func(bool) {
	what := "upload " + file.Path
	if id != "" {
		what += " at " + id
	} else {
		f.uploads++
		id = "u" + strconv.Itoa(f.uploads)
	}
	f.told = func(arrived int64, waiting bool) { told(id, arrived, waiting, "") }
	f.busy = func(arrived int64, why string) { told(id, arrived, true, why) }
	f.net = append(f.net, what)
	f.answers = append(f.answers, func(int, []byte) { got(id, nil) })
	return func(keep bool) { f.rests = append(f.rests, keep) }
}

func (f *fake) Watch(path string, _ []string, event func(string, []byte), lost func()) func() {
	f.lost = lost
	f.net = append(f.net, "watch "+path)
	f.answers = append(f.answers, func(_ int, b []byte) { event("job", b) })
	return func() { f.net, f.answers = append(f.net, "unwatch"), append(f.answers, nil) }
}

// fakeViewer shows nothing.
type fakeViewer struct {
	slow      bool   // picture is for the test to call
	picture   func() // of the last scan
	low, high float64
	at        [3]int
	labels    []byte
	boxes     [][3]int
	lut       []byte
	notes     Picture // of the last picture of the views
}

func (v *fakeViewer) Hide()                             {}
func (v *fakeViewer) Window(low, high float64)          { v.low, v.high = low, high }
func (v *fakeViewer) Labels(m []byte)                   { v.labels = m }
func (v *fakeViewer) Part(int, []byte)                  {}
func (v *fakeViewer) Box(lo, _ [3]int, b Bytes)         { v.boxes = append(v.boxes, lo) }
func (v *fakeViewer) Paint(lut []byte, _, _ float64)    { v.lut = lut }
func (v *fakeViewer) Surfaces([]Surface)                {}
func (v *fakeViewer) Surface(int, [3]uint8, bool)       {}
func (v *fakeViewer) Redraw()                           {}
func (v *fakeViewer) Go(x, y, z int)                    { v.at = [3]int{x, y, z} }
func (v *fakeViewer) Step(int, int)                     {}
func (v *fakeViewer) Zoom(float64)                      {}
func (v *fakeViewer) Reset()                            {}
func (v *fakeViewer) Radiological(bool)                 {}
func (v *fakeViewer) Tool(string)                       {}
func (v *fakeViewer) Voxels() []float32                 { return make([]float32, 8) }
func (v *fakeViewer) Picture(n Picture, got func(Blob)) { v.notes = n; got(nil) }

func (v *fakeViewer) Show(_ Bytes, _, _ float64, done func(error)) {
	v.picture = func() { done(nil) }
	if !v.slow {
		v.picture()
	}
}

// held are bytes of a test.
type held []byte

func (h held) Len() int     { return len(h) }
func (h held) Copy() []byte { return append([]byte{}, h...) }
func (h held) Blob() Blob   { return []byte(h) }
