package page

import (
	"math"
	"strconv"
	"strings"
)

// typing is a field that is typed into. Whatever is drawn meanwhile, it shows what was
// typed until that is taken or the field is left.
type typing struct{ field, text string }

// Shown is what a field, by its ID, shows: what is being typed into it, or else its value.
func (p *Page) Shown(field, value string) string {
	if p.typing.field == field {
		return p.typing.text
	}
	return value
}

// Type takes what a field has as it is typed.
func (p *Page) Type(field, text string) { p.typing = typing{field, text} }

// KeyField is the ID of the field of the server's key.
const KeyField = "serverkey"

// fields do something with what was typed, by their IDs.
var fields = map[string]func(p *Page, text string){
	"rename": (*Page).EndRename,
	"width":  (*Page).SetWidth,
	"level":  (*Page).SetLevel,
	"from":   func(p *Page, text string) { p.SetBound(false, text) },
	KeyField: (*Page).UseKey,
	"to":     func(p *Page, text string) { p.SetBound(true, text) },
}

// LeaveField takes what was typed into a field that has not the focus any more. A
// browser tells that also of one that is taken out of the page, as it is drawn: nothing
// of vugu may listen to it, nor to a field's change, which comes then too.
func (p *Page) LeaveField(field string) {
	switch {
	case p.typing.field == field && fields[field] != nil:
		fields[field](p, p.typing.text)
	case field == "rename" && p.Result != nil: // as it was
		p.Result.Rename = notRenaming
	}
}

// enter takes what is being typed, and tells whether something is.
func (p *Page) enter() bool {
	renames := p.Result != nil && p.Result.Renaming()
	if p.typing.field == "" && !renames {
		return false
	}
	field := p.typing.field
	if field == "" {
		field = "rename"
	}
	p.LeaveField(field)
	if renames {
		p.Host.Focus(".lab.sel .nm")
	}
	return true
}

// EndTyping has all fields show their values.
func (p *Page) EndTyping() { p.typing = typing{} }

// typedNumber is a number as people type it, with a point or a comma; false: it is none.
func typedNumber(text string) (float64, bool) {
	text = strings.NewReplacer(",", ".", "−", "-", thin, "", " ", "").Replace(text)
	x, err := strconv.ParseFloat(text, 64)
	const most = 1e9 // no scan has such values
	return x, err == nil && math.Abs(x) <= most
}
