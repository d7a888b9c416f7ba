package page

// KeyStroke is what a keyboard event says.
type KeyStroke struct {
	Key              string // as the browser names it
	Ctrl, Shift, Alt bool
	Field            bool   // something is typed into
	Role             string // of the element that has the focus
	View             int    // that has the focus; −1: none
}

// Key does what a key stands for, and tells whether it stood for something.
func (p *Page) Key(k KeyStroke) bool {
	if k.Key == "Escape" {
		return p.escape()
	}
	if p.Dialog != NoDialog {
		return false
	}
	if k.Ctrl {
		return p.ctrlKey(k)
	}
	if k.Field && k.Key == "Enter" && !k.Alt {
		return p.enter()
	}
	if k.Field || k.Alt {
		return false
	}
	if p.Screen != ScreenWork {
		return p.seriesKey(k)
	}
	if k.View >= 0 && p.viewKey(k) {
		return true
	}
	if k.Role == "radio" || k.Role == "slider" || k.Role == "toolbar" {
		if k.Key == "ArrowUp" || k.Key == "ArrowDown" || k.Key == " " || k.Key == "Enter" {
			return false
		}
	}
	keys := map[Panel]func(string) bool{PanelEdit: p.editKey, PanelLabels: p.labelKey, PanelCompare: p.compareKey}[p.Panel]
	if keys != nil && keys(k.Key) {
		return true
	}
	return p.pageKey(k.Key)
}

func (p *Page) escape() bool {
	switch {
	case p.Dialog != NoDialog:
		p.Close()
	case p.Notice != "":
		p.Notice = ""
	case p.Screen != ScreenWork:
		if !p.CanGoBack() {
			return false
		}
		p.BackToScan()
	case p.Result != nil && p.Result.Renaming():
		p.Result.Rename = notRenaming
		p.EndTyping()
		p.Host.Focus(".lab.sel .nm")
	case p.typing.field != "": // it shows its value again
		p.EndTyping()
	case p.View.Layout == "one":
		p.SetLayout("1+3")
	case p.View.Tool != "cross" && p.View.Tool != "edit":
		p.SetTool("cross")
	default:
		return false
	}
	return true
}

func (p *Page) ctrlKey(k KeyStroke) bool {
	switch k.Key {
	case "o", "O":
		p.OpenAnother()
		p.ChooseFiles()
	case "e", "E":
		p.OpenExport()
	case "z", "Z":
		return !k.Field && p.undoKey(k.Shift)
	case "y":
		return !k.Field && p.undoKey(true)
	default:
		return false
	}
	return true
}

// undoKey takes back, or makes again, what the panel changes.
func (p *Page) undoKey(again bool) bool {
	ways := map[Panel][2]func(){PanelEdit: {p.Undo, p.Redo}, PanelLabels: {p.UndoResult, p.RedoResult}}
	way, ok := ways[p.Panel]
	if !ok || p.Screen != ScreenWork {
		return false
	}
	if again {
		way[1]()
	} else {
		way[0]()
	}
	return true
}

func (p *Page) seriesKey(k KeyStroke) bool {
	switch {
	case k.Key == "?":
		p.Show(DialogKeys)
	case k.Key == "d":
		p.Show(DialogDiagnostics)
	case p.Screen == ScreenSeries && k.Role == "radio" && (k.Key == "ArrowDown" || k.Key == "ArrowUp"):
		step := 1
		if k.Key == "ArrowUp" {
			step = -1
		}
		for i := p.Open.Chosen + step; i >= 0 && i < len(p.Open.List.Series); i += step {
			if p.Open.List.Series[i].Why == "" {
				p.Choose(i)
				p.Host.Focus(".ser.on")
				break
			}
		}
	case p.Screen == ScreenSeries && k.Role == "radio" && k.Key == "Enter":
		p.OpenSeries()
	default:
		return false
	}
	return true
}

func (p *Page) viewKey(k KeyStroke) bool {
	steps := map[string]int{"ArrowUp": 1, "ArrowDown": -1, "PageUp": 10, "PageDown": -10}
	if n := steps[k.Key]; n != 0 && k.View < 3 {
		p.Host.Viewer().Step(k.View, n)
		return true
	}
	if k.Key == "Enter" {
		p.Maximise(k.View)
		return true
	}
	return false
}

func (p *Page) editKey(key string) bool {
	switch key {
	case "b":
		p.SetEditTool("brush")
	case "e":
		p.SetEditTool("eraser")
	case "f":
		p.SetEditTool("fill")
	case "t":
		p.SetEditTool("threshold")
	case ",":
		p.Resize(-1)
	case ".":
		p.Resize(1)
	default:
		return false
	}
	return true
}

func (p *Page) labelKey(key string) bool {
	switch key {
	case "v":
		p.ToggleAll()
	case "o":
		p.SetFill(!p.View.Fill)
	case "u":
		p.ShowUncertainty(!p.View.Unsure)
	case "n":
		p.PickNext(1)
	case "p":
		p.PickNext(-1)
	case "g":
		p.GoTo(p.Result.Picked)
	case "F2":
		p.BeginRename()
	case "[":
		p.SetOpacity(p.View.Opacity - 5)
	case "]":
		p.SetOpacity(p.View.Opacity + 5)
	default:
		return false
	}
	return true
}

func (p *Page) compareKey(key string) bool {
	step := map[string]int{"n": 1, "p": -1}[key]
	if step != 0 {
		p.NextDifference(step)
	}
	return step != 0
}

func (p *Page) pageKey(key string) bool {
	tools := map[string]string{"c": "cross", "w": "window", "h": "pan", "z": "zoom", "m": "measure"}
	if t := tools[key]; t != "" {
		p.SetTool(t)
		return true
	}
	if len(key) == 1 && key >= "1" && key <= "6" {
		p.UsePreset(int(key[0] - '1'))
		return true
	}
	switch key {
	case "l":
		p.NextLayout()
	case "x":
		p.SetRadiological(!p.View.Radiological)
	case "0":
		p.Host.Viewer().Reset()
	case "+":
		p.Host.Viewer().Zoom(1.2)
	case "-":
		p.Host.Viewer().Zoom(1 / 1.2)
	case "s":
		return p.segmentKey()
	case " ":
		return p.spaceKey()
	case "d":
		p.Show(DialogDiagnostics)
	case "?":
		p.Show(DialogKeys)
	default:
		return false
	}
	return true
}

func (p *Page) segmentKey() bool {
	switch p.Panel {
	case PanelScan, PanelLabels:
		p.Go(PanelModels)
	case PanelModels:
		if p.CanCheck() {
			p.Go(PanelCheck)
		}
	case PanelCheck:
		p.Begin()
	default:
		return false
	}
	return true
}

func (p *Page) spaceKey() bool {
	if p.Panel != PanelRun {
		return false
	}
	switch p.Run.Stage {
	case RunPaused:
		p.GoOn()
	case RunTiles, RunPreparing:
		p.Pause()
	default:
		return false
	}
	return true
}
