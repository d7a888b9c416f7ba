package server

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// Keys of queries mean what PS3.4 C.2.2.2 says.
func TestKeysMatchAsDICOMSays(t *testing.T) {
	name := func(s string) element { return element{"PN", []any{personName(s)}} }
	text := func(vr string, values ...any) element { return element{vr, values} }
	for _, c := range []struct {
		query string
		of    element
		fits  bool
	}{
		{"PatientName=MUELLER^HANS", name("MUELLER^HANS"), true},
		{"PatientName=mueller^hans", name("MUELLER^HANS^^"), true}, // case is the archive's choice for names
		{"PatientName=MUELLER", name("MUELLER^HANS"), false},
		{"PatientName=MUELLER*", name("MUELLER^HANS"), true},
		{"PatientName=M?ELLER^*", name("MÜELLER^HANS"), true},
		{"PatientName=山田^太郎", name("Yamada^Tarou=山田^太郎=やまだ^たろう"), true},
		{"00100010=*NS", name("MUELLER^HANS"), true},
		{"PatientName=*", element{}, true},
		{"PatientName=", element{}, true},
		{"PatientName=A*", element{}, false},
		{"PatientID=*", text("LO", "1"), true},
		{"PatientID=1*3", text("LO", "1233"), true},
		{"PatientID=1*3", text("LO", "1234"), false},
		{"PatientID=1?3", text("LO", "13"), false},
		{"PatientID=a", text("LO", "A"), false},
		{"StudyDate=20200102", text("DA", "20200102"), true},
		{"StudyDate=20200101-20200131", text("DA", "20200131"), true},
		{"StudyDate=20200101-20200131", text("DA", "20200201"), false},
		{"StudyDate=20200101-", text("DA", "20210102"), true},
		{"StudyDate=-20200101", text("DA", "20210102"), false},
		{"StudyDate=-20200101", element{}, false},
		{"StudyTime=08-1015", text("TM", "101530.5"), true},
		{"StudyTime=08-1015", text("TM", "1016"), false},
		{"StudyTime=1015", text("TM", "101500"), true},
		{"AcquisitionDateTime=2020-2021", text("DT", "20211231235959.9"), true},
		{"StudyInstanceUID=1.2,1.3", text("UI", "1.3"), true},
		{`StudyInstanceUID=1.2\1.3`, text("UI", "1.2"), true},
		{"StudyInstanceUID=1.*", text("UI", "1.2"), false}, // no wild card in a UID
		{"ModalitiesInStudy=SEG", text("CS", "CT", "SEG"), true},
		{"ModalitiesInStudy=S*", text("CS", "CT", "RTSTRUCT"), false},
		{"SeriesNumber=7", text("IS", "07"), true},
		{"SeriesNumber=7", text("IS", "70"), false},
	} {
		q, err := url.ParseQuery(c.query)
		require.NoError(t, err)
		all, ignored, err := criteria(q)
		require.NoError(t, err, c.query)
		assert.Empty(t, ignored)
		fits := true
		for _, one := range all {
			fits = fits && one.fits(c.of)
		}
		assert.Equal(t, c.fits, fits, "%s of %v", c.query, c.of)
	}
	for _, query := range []string{"StudyDate=yesterday", "StudyDate=2020-01-02", "StudyTime=8", "ReferencedSeriesSequence=x", "00081115.0020000E=1.2"} {
		q, err := url.ParseQuery(query)
		require.NoError(t, err)
		_, _, err = criteria(q)
		assert.Equal(t, http.StatusBadRequest, asProblem(err).status, query)
	}
	_, ignored, err := criteria(url.Values{"orderby": {"x"}, "limit": {"1"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"orderby"}, ignored)
}

func TestWildCardsStandForOthers(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		like          bool
	}{
		{"", "", true},
		{"*", "", true},
		{"?", "", false},
		{"a*b*c", "aXbXbXc", true},
		{"a*b*c", "aXbXbX", false},
		{"*a", "aaab", false},
		{"*ab", "aaab", true},
		{"**", "x", true},
		{"a", "ab", false},
	} {
		assert.Equal(t, c.like, like(c.pattern, c.text), "%s of %s", c.pattern, c.text)
	}
}

// Segmentations of an anonymous CT, as viewers find and get them.
func TestViewersFindResultsByWhatTheyAskFor(t *testing.T) {
	o := testOptions(t)
	o.Formats, o.FormatNames = segFormats, append(o.FormatNames, "seg")
	a := newArchive(t)
	o.Archives = map[string]Archive{"pacs": {URL: a.URL + "/pacs", Token: "secret"}}
	r := start(t, o)
	in := api.DICOMwebInput{Archive: "pacs", Study: a.study, Series: a.series}
	for range 2 { // two objects of one study, in series of their own
		j := r.wait(r.submit(api.Submit{Model: modelID, Mirror: new(bool), Step: 1, Inputs: []api.Input{{Dicomweb: &in}}, Formats: []string{"seg"}}).ID)
		require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
	}
	type set map[string]struct{ Value []any }
	get := func(path string) []set { return decode[[]set](t, r.do("GET", "/dicomweb"+path, nil), http.StatusOK) }
	studies := get("/studies")
	require.Len(t, studies, 1)
	assert.Equal(t, []any{"SEG"}, studies[0]["00080061"].Value)
	assert.Equal(t, []any{2.0}, studies[0]["00201206"].Value)
	assert.Equal(t, []any{2.0}, studies[0]["00201208"].Value)
	series := get("/studies/" + a.study + "/series")
	require.Len(t, series, 2)
	assert.Equal(t, []any{1.0}, series[0]["00201209"].Value)
	assert.Len(t, get("/studies?ModalitiesInStudy=SEG"), 1)
	assert.Empty(t, get("/studies?ModalitiesInStudy=CT"))
	for query, n := range map[string]int{
		"StudyDate=20210701-20210731": 1, "StudyDate=20210722-": 0, "StudyTime=10": 1, "PatientID=*": 1, "PatientID=a*": 0, "PatientName=*": 1, "Modality=S?G": 1,
	} {
		assert.Len(t, get("/studies?"+query), n, query)
	}
	assert.Len(t, get("/studies?StudyInstanceUID=1.2,"+a.study), 1)
	refused(t, r.do("GET", "/dicomweb/studies?StudyDate=today", nil), http.StatusBadRequest)
	assert.NotEmpty(t, r.do("GET", "/dicomweb/studies?orderby=x", nil).Header.Get("Warning"))

	refused(t, r.do("GET", "/dicomweb/studies/1.2.3/metadata", nil), http.StatusNotFound)
	refused(t, r.do("GET", "/dicomweb/studies", nil, "Accept", "application/xml"), http.StatusNotAcceptable)
	one := "/dicomweb/studies/" + a.study + "/series/" + series[0]["0020000E"].Value[0].(string) //nolint:forcetypeassert // it fails
	for accept, status := range map[string]int{
		"image/jpeg": 406, "multipart/related; type=image/jpeg": 406, "multipart/related; type=\"application/dicom\"": 200,
		"application/dicom": 200, "image/jpeg, */*;q=0.1": 200, "application/dicom;q=0": 406, "multipart/related;type=\"application/dicom\";transfer-syntax=*": 200,
	} {
		assert.Equal(t, status, r.do("GET", one, nil, "Accept", accept).StatusCode, accept)
	}
	assert.Equal(t, "DICM", string(read(t, r.do("GET", one, nil, "Accept", "application/dicom"), http.StatusOK)[128:132]))
	refused(t, r.do("GET", "/dicomweb/studies/"+a.study, nil, "Accept", "application/dicom"), http.StatusNotAcceptable)
}
