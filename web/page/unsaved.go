package page

// Unsaved tells whether labels that were computed or corrected here are in no file yet.
func (p *Page) Unsaved() bool {
	return p.Result != nil && p.Result.unsaved || p.Other != nil && p.Other.unsaved
}

// unsavedText names what would be lost.
func (p *Page) unsavedText() string {
	if p.Panel == PanelEdit || p.Result.Edited {
		return "The corrected labels of " + p.Scan.Name + " are in no file yet."
	}
	return "The labels of " + p.Scan.Name + " are in no file yet."
}

// unlessLost does something by which labels are lost that are in no file, when that was
// asked about. Those that are replaced are not kept either.
func (p *Page) unlessLost(title, do string, replaced bool, f func()) {
	if !p.Unsaved() {
		f()
		return
	}
	text := " They will be lost."
	if !replaced && p.Result != nil && p.Result.kept && (p.Other == nil || !p.Other.unsaved) {
		text = " They are kept on this computer, and offered when this scan is opened again."
	}
	p.Question = &Alert{
		Title: title, Text: p.unsavedText() + text,
		Do: "Export them first", OnDo: func() {
			p.Close()
			if p.Screen != ScreenWork {
				p.BackToScan()
			}
			p.OpenExport()
		},
		Other: do, OnOther: func() {
			p.Close()
			f()
		},
	}
	p.Show(DialogAsk)
}
