package page

import (
	"path"
	"strings"
)

// Drag tells of files over the page, n of them; 0: none any more.
func (p *Page) Drag(n int) { p.Open.Over, p.Open.Dragged = n > 0, n }

// Drop takes files that were let go: models, those of a scan, or both. Those that the
// browser could not read are named.
func (p *Page) Drop(files []File, unread []string) {
	p.Open.Over = false
	none := len(files) == 0
	files = p.takeModels(files)
	switch {
	case none:
		p.endOpening()
		p.Dialog = NoDialog
		p.fileAlert("What was dropped cannot be read", unreadText(unread)+" Choose the files instead, or copy them to a folder of your own first.")
		return
	case isModel(files):
		p.AddModel(files)
	case len(files) > 0:
		p.TakeFiles(files)
	}
	if len(unread) > 0 {
		p.Notice = unreadText(unread) + " What is shown may be incomplete."
	}
}

func unreadText(names []string) string {
	switch len(names) {
	case 0:
		return "The browser says of no file that it is there."
	case 1:
		return "The browser could not read " + short(names[0], longName) + "."
	}
	return "The browser could not read " + short(names[0], longName) + " and " + Plural(len(names)-1, "other", "others") + "."
}

// takeModels adds the files that are models by themselves; the others are left.
func (p *Page) takeModels(files []File) (rest []File) {
	for _, f := range files {
		if strings.HasSuffix(strings.ToLower(f.Path), ".gounet") {
			p.AddModel([]File{f})
		} else {
			rest = append(rest, f)
		}
	}
	return rest
}

// isModel tells the folder of a model, by its weights, or as there is nothing in it but
// what lies beside them.
func isModel(files []File) bool {
	rest := 0
	for _, f := range files {
		switch strings.ToLower(path.Ext(f.Path)) {
		case ".safetensors", ".pth":
			return true
		case ".json":
		default:
			rest++
		}
	}
	return len(files) > 0 && rest == 0
}
