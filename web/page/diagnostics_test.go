package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBrowsersAreNamedAsPeopleDo(t *testing.T) {
	const mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/"
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36":                 "Chromium 156, Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0": "Edge 141, Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0":                                              "Firefox 144.0, Windows",
		mac + "605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                                                               "Safari 26.0, macOS",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36":               "Chromium 141, Android",
		"Something/1.0": "Something/1.0",
	} {
		assert.Equal(t, want, BrowserName(agent))
	}
}
