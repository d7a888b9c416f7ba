package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/gounet/gounet/internal/api"
)

// Auth says who may do what. The zero value lets everybody do everything, under a
// host name of this machine.
type Auth struct {
	KeysFile string   // API keys: lines of NAME ROLE SHA256, the last of the key, in hex
	Issuer   string   // of JWTs, by OpenID Connect discovery
	JWKS     string   // address of its keys, where it has no discovery
	Audience string   // that JWTs must be for
	Claim    string   // of JWTs, with the role: a string or a list; "roles" if empty
	Hosts    []string // other names of this server
	AnyHost  bool     // under any name, though everybody may do everything
}

// Open says whether everybody may do everything.
func (a Auth) Open() bool { return a.KeysFile == "" && a.Issuer == "" && a.JWKS == "" }

// identity is who asks.
type identity struct{ user, role string }

// may says whether the role includes another.
func (i identity) may(role string) bool { return rank(i.role) >= rank(role) }

func rank(role string) int {
	return slices.Index([]string{api.RoleViewer, api.RoleUser, api.RoleAdmin}, role)
}

const identityKey = "identity"

func who(c echo.Context) identity {
	i, _ := c.Get(identityKey).(identity)
	return i
}

// need returns an error unless the one who asks has the role.
func need(c echo.Context, role string) error {
	if i := who(c); !i.may(role) {
		return wrong(http.StatusForbidden, "this takes the role %s and %s has %s: ask who runs this server", role, i.user, i.role)
	}
	return nil
}

// apiKey is a line of the file of keys.
type apiKey struct {
	identity
	hash []byte
}

type authenticator struct {
	o      Auth
	keys   []apiKey
	tokens *tokens // nil: no JWTs

	refused func(c echo.Context) // is told of wrong keys, as many as the brake lets pass

	rate  rate.Limit
	mu    sync.Mutex
	users map[string]*visitor
}

type visitor struct {
	*rate.Limiter
	seen time.Time
}

func newAuthenticator(ctx context.Context, o Auth, perSecond float64) (*authenticator, error) {
	a := &authenticator{o: o, rate: rate.Limit(perSecond), users: map[string]*visitor{}}
	if o.KeysFile != "" {
		b, err := os.ReadFile(o.KeysFile)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		if a.keys, err = parseKeys(string(b)); err != nil {
			return nil, fmt.Errorf("keys: %s: %w", o.KeysFile, err)
		}
	}
	if o.Issuer != "" || o.JWKS != "" {
		var err error
		if a.tokens, err = newTokens(ctx, o); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// parseKeys reads lines of NAME ROLE SHA256.
func parseKeys(text string) (keys []apiKey, err error) {
	for n, line := range strings.Split(text, "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		parts := strings.Fields(line)
		if len(parts) != 3 || rank(parts[1]) < 0 {
			return nil, fmt.Errorf("line %d: wanted NAME ROLE SHA256 with a role of viewer, user or admin", n+1)
		}
		hash, err := hex.DecodeString(parts[2])
		if err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("line %d: wanted the SHA-256 of the key as 64 hex digits: printf %%s KEY | sha256sum", n+1)
		}
		keys = append(keys, apiKey{identity{"key:" + parts[0], parts[1]}, hash})
	}
	return keys, nil
}

// handle finds out who asks, and whether that is too often.
func (a *authenticator) handle(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if err := a.origin(r); err != nil {
			return err
		}
		i, err := a.identify(r)
		if err != nil {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			if !a.allow("from "+host, a.failures()) {
				return later(http.StatusTooManyRequests, 10, "too many requests with a wrong key or token: wait, then give the right one")
			}
			a.refused(c)
			return err
		}
		if !a.allow(i.user, a.rate) {
			return later(http.StatusTooManyRequests, 1, "more than %v requests in a second: wait, or follow jobs by their events instead of asking", float64(a.rate))
		}
		c.Set(identityKey, i)
		return next(c)
	}
}

// failuresPerSecond of an address that shows wrong keys.
const failuresPerSecond = 5

// failures are those that an address may have in a second, also where requests are not
// bounded.
func (a *authenticator) failures() rate.Limit {
	if a.rate == 0 {
		return failuresPerSecond
	}
	return min(a.rate, failuresPerSecond)
}

// allow takes a request of a user from what a second allows.
func (a *authenticator) allow(user string, perSecond rate.Limit) bool {
	if perSecond == 0 {
		return true
	}
	const forget = 5 * time.Minute
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	v := a.users[user]
	if v == nil {
		for name, other := range a.users {
			if now.Sub(other.seen) > forget {
				delete(a.users, name)
			}
		}
		v = &visitor{Limiter: rate.NewLimiter(perSecond, max(int(2*perSecond), 1))}
		a.users[user] = v
	}
	v.seen = now
	return v.Allow()
}

// origin refuses what a page of another site makes a browser send: to a name that
// it made point to this machine, or from its own origin.
func (a *authenticator) origin(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if a.o.Open() && !a.o.AnyHost && !localName(host) && !slices.Contains(a.o.Hosts, host) {
		return wrong(http.StatusForbidden, "host %.100q is not a name of this server: use localhost, or start it with --host %.100s", host, host)
	}
	origin := r.Header.Get(echo.HeaderOrigin)
	if origin == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host != r.Host && !slices.Contains(a.o.Hosts, u.Hostname()) {
		return wrong(http.StatusForbidden, "a page of %.100q may not change anything here: open the page of this server", origin)
	}
	return nil
}

func localName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// identify finds who asks by a key or a token.
func (a *authenticator) identify(r *http.Request) (identity, error) {
	if a.o.Open() {
		return identity{"local", api.RoleAdmin}, nil
	}
	secret := r.Header.Get("X-API-Key")
	if scheme, rest, ok := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " "); ok && strings.EqualFold(scheme, "bearer") {
		secret = strings.TrimSpace(rest)
	}
	if secret == "" {
		return identity{}, wrong(http.StatusUnauthorized, "this server wants to know who asks: send Authorization: Bearer with an API key or a token")
	}
	hash := sha256.Sum256([]byte(secret))
	for _, k := range a.keys {
		if subtle.ConstantTimeCompare(hash[:], k.hash) == 1 {
			return k.identity, nil
		}
	}
	if a.tokens != nil {
		i, err := a.tokens.identify(r.Context(), secret)
		if err == nil {
			return i, nil
		}
		if errors.Is(err, errNoRole) {
			return identity{}, wrong(http.StatusForbidden, "the token gives no role of viewer, user or admin: ask who runs this server")
		}
	}
	return identity{}, wrong(http.StatusUnauthorized, "the key or token is unknown or has expired: get a new one")
}
