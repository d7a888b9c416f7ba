package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// withKeys has keys that are the names of their roles, and one of another user.
func withKeys(t *testing.T) *running {
	t.Helper()
	return withKeysAnd(t, func(*Options) {})
}

// withKeysAnd is withKeys with other options.
func withKeysAnd(t *testing.T, change func(*Options)) *running {
	t.Helper()
	o := testOptions(t)
	change(&o)
	o.Auth.KeysFile = filepath.Join(t.TempDir(), "keys")
	text := "# a comment\n"
	for name, role := range map[string]string{"viewer": "viewer", "user": "user", "other": "user", "admin": "admin"} {
		h := sha256.Sum256([]byte(name))
		text += fmt.Sprintf("%s %s %s\n", name, role, hex.EncodeToString(h[:]))
	}
	require.NoError(t, os.WriteFile(o.Auth.KeysFile, []byte(text), 0o600))
	return start(t, o)
}

func TestOnlyTheOwnerAndAdminsSeeAJob(t *testing.T) {
	r := withKeys(t)
	r.key = "user"
	u := r.upload(nifti(t, small)).ID
	j := r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}}})
	j = r.wait(j.ID)
	paths := []string{"/api/v1/jobs/" + j.ID, "/api/v1/jobs/" + j.ID + "/events", j.Results[0].URL, "/api/v1/uploads/" + u}
	for key, status := range map[string]int{"": 401, "wrong": 401, "viewer": 404, "other": 404, "user": 200, "admin": 200} {
		r.key = key
		for _, p := range paths {
			assert.Equal(t, status, r.do("GET", p, nil).StatusCode, "%s %s", key, p)
		}
	}
	r.key = "other"
	b, err := json.Marshal(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}}})
	require.NoError(t, err)
	refused(t, r.do("POST", "/api/v1/jobs", b), http.StatusNotFound)
	refused(t, r.do("POST", "/api/v1/jobs/"+j.ID+"/cancel", nil), http.StatusNotFound)
	refused(t, r.do("DELETE", "/api/v1/uploads/"+u, nil), http.StatusNotFound)
	refused(t, r.do("GET", "/api/v1/jobs?all=true", nil), http.StatusForbidden)
	assert.Empty(t, decode[api.JobList](t, r.do("GET", "/api/v1/jobs", nil), 200).Jobs)
	r.key = "viewer"
	refused(t, r.do("POST", "/api/v1/uploads?name=a.nii", []byte("x")), http.StatusForbidden)
	r.key = "admin"
	assert.Len(t, decode[api.JobList](t, r.do("GET", "/api/v1/jobs?all=true", nil), 200).Jobs, 1)
	r.key = "user"
	b, err = json.Marshal(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}}, Priority: api.PriorityHigh})
	require.NoError(t, err)
	refused(t, r.do("POST", "/api/v1/jobs", b), http.StatusForbidden)
	r.auth.mu.Lock()
	clear(r.auth.users) // how many wrong keys are too many is another test's
	r.auth.mu.Unlock()
	r.key = ""
	for path := range map[string]int{"/metrics": 0, "/api/v1/models": 0, "/api/v1/info": 0} {
		a := r.do("GET", path, nil)
		refused(t, a, http.StatusUnauthorized)
		assert.Equal(t, "Bearer", a.Header.Get("WWW-Authenticate"))
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/api", "/api/openapi.yaml"} {
		assert.Equal(t, http.StatusOK, r.do("GET", path, nil).StatusCode, path)
	}
	assert.NotContains(t, string(read(t, r.do("GET", "/", nil), 200)), j.ID)
}

// issuer is an OpenID Connect issuer with one key.
type issuer struct {
	*httptest.Server
	key       *ecdsa.PrivateKey
	withdrawn atomic.Bool  // it has no key any more
	away      atomic.Bool  // nor does it answer
	asked     atomic.Int32 // for its keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i := &issuer{key: key}
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if i.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if i.withdrawn.Load() {
			_, _ = w.Write([]byte(`{"keys": []}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []jwk{{ID: "1", Type: "EC", Curve: "P-256", X: encode(point[1:33]), Y: encode(point[33:])}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) token(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"iss": i.URL, "aud": "gounet", "sub": "anna", "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"user"}}
	for k, v := range claims {
		all[k] = v
	}
	k := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	k.Header["kid"] = "1"
	s, err := k.SignedString(i.key)
	require.NoError(t, err)
	return s
}

func TestTokensOfTheIssuerAreTaken(t *testing.T) {
	i := newIssuer(t)
	o := testOptions(t)
	o.Auth = Auth{Issuer: i.URL, Audience: "gounet"}
	r := start(t, o)
	other := newIssuer(t)
	unsigned := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": i.URL, "aud": "gounet", "sub": "a", "exp": time.Now().Add(time.Hour).Unix(), "roles": "admin"})
	none, err := unsigned.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"right":             {i.token(t, nil), 200},
		"role as text":      {i.token(t, jwt.MapClaims{"roles": "viewer other"}), 200},
		"no role":           {i.token(t, jwt.MapClaims{"roles": []string{"cook"}}), 403},
		"expired":           {i.token(t, jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}), 401},
		"never expires":     {i.token(t, jwt.MapClaims{"exp": nil}), 401},
		"for another":       {i.token(t, jwt.MapClaims{"aud": "other"}), 401},
		"of another issuer": {i.token(t, jwt.MapClaims{"iss": "http://x"}), 401},
		"another's key":     {other.token(t, jwt.MapClaims{"iss": i.URL}), 401},
		"nobody":            {i.token(t, jwt.MapClaims{"sub": ""}), 401},
		"unsigned":          {none, 401},
		"noise":             {"a.b.c", 401},
	} {
		t.Run(name, func(t *testing.T) {
			r.key = c.token
			assert.Equal(t, c.status, r.do("GET", "/api/v1/info", nil).StatusCode)
		})
	}
	r.key = i.token(t, nil)
	info := decode[api.Info](t, r.do("GET", "/api/v1/info", nil), 200)
	assert.Equal(t, "jwt:anna", info.User)
	assert.Equal(t, "user", info.Role)
}

// A key that the issuer withdraws is good for an hour at most; while the issuer is away
// its keys stay, and it is not asked more often for tokens of keys that nobody has.
func TestKeysOfTheIssuerAreAskedForNowAndThen(t *testing.T) {
	i := newIssuer(t)
	o := testOptions(t)
	o.Auth = Auth{Issuer: i.URL, Audience: "gounet"}
	r := start(t, o)
	r.key = i.token(t, nil)
	later := func(d time.Duration) { // as if so much time had passed
		tokens := r.auth.tokens
		tokens.mu.Lock()
		defer tokens.mu.Unlock()
		tokens.got, tokens.asked = tokens.got.Add(-d), tokens.asked.Add(-d)
	}
	status := func() int { return r.do("GET", "/api/v1/info", nil).StatusCode }
	require.Equal(t, http.StatusOK, status())
	require.EqualValues(t, 1, i.asked.Load())

	i.away.Store(true)
	later(2 * keysAge)
	for range 5 {
		require.Equal(t, http.StatusOK, status())
	}
	require.EqualValues(t, 2, i.asked.Load())
	later(2 * askEvery)
	unknown := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": i.URL})
	unknown.Header["kid"] = "2"
	s, err := unknown.SignedString(i.key)
	require.NoError(t, err)
	for range 5 {
		_, err := r.auth.tokens.identify(t.Context(), s)
		require.Error(t, err)
	}
	require.EqualValues(t, 3, i.asked.Load())

	i.away.Store(false)
	i.withdrawn.Store(true)
	later(2 * askEvery)
	require.Equal(t, http.StatusUnauthorized, status())
}

func TestWrongLinesOfKeysAreRefused(t *testing.T) {
	for _, line := range []string{"a", "a admin", "a boss " + strings.Repeat("0", 64), "a admin zz", "a admin abcd", "a b c d"} {
		_, err := parseKeys(line)
		assert.Error(t, err, line)
	}
}

// Without keys the server listens to this machine only; then other sites' pages in
// this machine's browser are the ones to fear.
func TestPagesOfOtherSitesChangeNothing(t *testing.T) {
	r := start(t, testOptions(t))
	q := func(method, host, origin string) int {
		a, err := http.NewRequestWithContext(t.Context(), method, r.web.URL+"/api/v1/jobs", strings.NewReader("{}"))
		require.NoError(t, err)
		a.Host = host
		if origin != "" {
			a.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultTransport.RoundTrip(a)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	own := r.web.Listener.Addr().String()
	assert.Equal(t, 200, q("GET", own, ""))
	assert.Equal(t, 200, q("GET", "localhost:1", ""))
	assert.Equal(t, 403, q("GET", "evil.example", ""), "a name that was made point here")
	assert.Equal(t, 403, q("POST", own, "http://evil.example"))
	assert.NotEqual(t, 403, q("POST", own, "http://"+own))
}

func TestEveryAnswerHasTheHeadersOfAnIsolatedPage(t *testing.T) {
	r := start(t, testOptions(t))
	for _, path := range []string{"/", "/api", "/api/v1/models", "/nothing"} {
		h := r.do("GET", path, nil).Header
		assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'self'", path)
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"))
		assert.Equal(t, "require-corp", h.Get("Cross-Origin-Embedder-Policy"))
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		assert.NotEmpty(t, h.Get("X-Request-Id"))
	}
}

func TestTooManyRequestsAreToldToWait(t *testing.T) {
	o := testOptions(t)
	o.Bounds.Rate = 5
	r := start(t, o)
	for range 10 { // two seconds' at once
		read(t, r.do("GET", "/api/v1/info", nil), http.StatusOK)
	}
	o = testOptions(t)
	o.Bounds.Rate = 0.1 // far below what the slowest machine sends
	r = start(t, o)
	counts := map[int]int{}
	for range 30 {
		a := r.do("GET", "/api/v1/info", nil)
		counts[a.StatusCode]++
		if a.StatusCode == 429 {
			require.NotEmpty(t, a.Header.Get("Retry-After"))
		}
	}
	assert.Positive(t, counts[200])
	assert.Positive(t, counts[429])
	assert.Equal(t, 30, counts[200]+counts[429])
}

// A body that stops coming is given up, and what has come of a tus upload is kept.
func TestSlowBodiesAreGivenUp(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Bounds.Idle = 3 * time.Second // a busy machine takes as long for what does come
	r := start(t, o)
	at := tusCreate(r, 1000)
	body, send := newSlow()
	q, err := http.NewRequestWithContext(t.Context(), "PATCH", r.web.URL+at, body)
	require.NoError(t, err)
	q.ContentLength = 1000
	for k, v := range map[string]string{"Tus-Resumable": tusVersion, "Upload-Offset": "0", "Content-Type": tusType} {
		q.Header.Set(k, v)
	}
	go send(make([]byte, 300))
	answer, err := http.DefaultTransport.RoundTrip(q)
	if err == nil {
		assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
		require.NoError(t, answer.Body.Close())
	}
	require.Eventually(t, func() bool {
		return r.do("HEAD", at, nil, "Tus-Resumable", tusVersion).Header.Get("Upload-Offset") == "300"
	}, 2*time.Minute, 20*time.Millisecond)
}

// A request that is refused before its body has come is answered nevertheless.
func TestSlowBodiesOfRefusedRequestsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Bounds.Idle = 3 * time.Second // a busy machine takes as long for what does come
	r := start(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	body, send := newSlow()
	q, err := http.NewRequestWithContext(ctx, "POST", r.web.URL+"/api/v1/nothing", body)
	require.NoError(t, err)
	q.ContentLength = 1000
	go send(make([]byte, 300))
	answer, err := http.DefaultTransport.RoundTrip(q)
	require.NoError(t, ctx.Err())
	if err == nil { // else the connection was closed while the body was sent
		assert.Equal(t, http.StatusNotFound, answer.StatusCode)
		require.NoError(t, answer.Body.Close())
	}
}

// A client that does not take its answer loses it; one that is slow does not.
func TestAnswersThatNobodyTakesAreGivenUp(t *testing.T) {
	t.Parallel()
	s := &Server{}
	s.o.Bounds.Idle = 2 * time.Second
	const large = 64 << 20 // more than the system holds for a connection
	ended := make(chan error, 1)
	e := echo.New()
	e.Use(s.impatient)
	e.GET("/", func(c echo.Context) error {
		_, err := c.Response().Write(make([]byte, large))
		ended <- err
		return err
	})
	e.GET("/small", func(c echo.Context) error {
		assert.NoError(t, http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(-time.Hour)))
		return c.NoContent(http.StatusNoContent)
	})
	web := httptest.NewServer(e)
	defer web.Close()

	stalled, err := net.Dial("tcp", web.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, stalled.Close()) }()
	_, err = stalled.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(2 * time.Minute):
		require.Fail(t, "the answer waits for its client")
	}

	slow, err := http.Get(web.URL) // a pause between pieces is not a stop
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, slow.Body)
	require.NoError(t, err)
	require.EqualValues(t, large, n)
	require.NoError(t, slow.Body.Close())
	require.NoError(t, <-ended)
	again, err := http.Get(web.URL + "/small") // the deadline of the answer before is over
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, again.StatusCode)
	require.NoError(t, again.Body.Close())
}

// newSlow is a body that has what is sent and then stays silent.
func newSlow() (io.Reader, func([]byte)) {
	r, w := io.Pipe()
	return r, func(b []byte) { _, _ = w.Write(b) } // the reader may have gone
}
