package store

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/credsmith/credsmith/internal/secret"
)

const keySize = 32

// keyring holds the keys that are made of the one in the key file: for
// wrapping, for rows and for the audit chain.
type keyring struct{ wrap, rows, audit []byte }

func newKeyring(master []byte) (keyring, error) {
	derive := func(use string) (key []byte, err error) {
		return hkdf.Key(sha256.New, master, nil, "credsmith store "+use, keySize)
	}
	var k keyring
	var errs [3]error
	k.wrap, errs[0] = derive("wrap")
	k.rows, errs[1] = derive("rows")
	k.audit, errs[2] = derive("audit")
	return k, errors.Join(errs[:]...)
}

// openKeys reads the key file, or makes it where mayMake allows.
func openKeys(path string, mayMake bool) (k keyring, made bool, err error) {
	_, err = os.Stat(path)
	if mayMake && errors.Is(err, fs.ErrNotExist) {
		return makeKeys(path)
	}
	k, err = readKeys(path)
	return k, false, err
}

func readKeys(path string) (keyring, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return keyring{}, fmt.Errorf("the key file %s is missing: %w", path, ErrKey)
	}
	if err != nil {
		return keyring{}, fmt.Errorf("open the key of the store: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return keyring{}, fmt.Errorf("the key file %s can be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return keyring{}, fmt.Errorf("read the key of the store: %w", err)
	}
	master, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(master) != keySize {
		return keyring{}, fmt.Errorf("the key file %s does not hold %d hexadecimal digits: %w", path, 2*keySize, ErrKey)
	}
	return newKeyring(master)
}

// makeKeys writes a new key, durable, before anything is sealed with it: whole
// or not at all. When two processes start at once, the first one's key holds.
func makeKeys(path string) (k keyring, made bool, err error) {
	master := make([]byte, keySize)
	rand.Read(master)                                                        // never fails
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return keyring{}, false, fmt.Errorf("make the key of the store: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(hex.EncodeToString(master) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Link(temp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		k, err = readKeys(path)
		return k, false, err
	}
	if err = errors.Join(err, syncDir(filepath.Dir(path))); err != nil {
		return keyring{}, false, fmt.Errorf("make the key of the store: %w", err)
	}
	k, err = newKeyring(master)
	return k, err == nil, err
}

// mac is over several texts as one.
func (k keyring) mac(parts ...string) string {
	text, err := json.Marshal(parts)
	if err != nil {
		panic("store: strings do not encode: " + err.Error())
	}
	mac := hmac.New(sha256.New, k.rows)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil))
}

// seal wraps a new key and seals a value with it. both are bound to what the
// value is: moved to another row they do not open.
func (k keyring) seal(v secret.Value, bound string) (dataKey, sealed string) {
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	dataKey = box(k.wrap, key, "key of "+bound)
	sealed = box(key, []byte(v.Reveal()), bound)
	clear(key)
	return dataKey, sealed
}

func (k keyring) open(dataKey, sealed, bound string) (secret.Value, error) {
	key, err := unbox(k.wrap, dataKey, "key of "+bound)
	if err != nil {
		return secret.Value{}, err
	}
	defer clear(key)
	text, err := unbox(key, sealed, bound)
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(string(text)), nil
}

func box(key, plain []byte, bound string) string {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("store: a key of the wrong size")
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(nonce) // never fails
	return base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(bound)))
}

func unbox(key []byte, text, bound string) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < aead.NonceSize() {
		return nil, ErrForged
	}
	plain, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(bound))
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}
