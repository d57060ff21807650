#!/bin/sh
# peers.sh <folder> <name>=<domain>…: an authority, and for each homeserver a certificate of its domain (<name>.crt,
# <name>.key), for trying out homeservers that speak to each other. What is there is kept.
set -eu
folder=$1
shift
mkdir -p "$folder"
cd "$folder"
umask 077
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }
if ! test -e ca.crt; then
  key ca.key
  openssl req -x509 -new -key ca.key -days 3650 -subj '/CN=Roost development' -out ca.crt
fi
for each in "$@"; do
  name=${each%%=*}
  domain=${each#*=}
  if test -e "$name.crt"; then continue; fi
  key "$name.key"
  printf 'subjectAltName=DNS:%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n' "$domain" > "$name.ext"
  openssl req -new -key "$name.key" -subj "/CN=$name" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile "$name.ext" -out "$name.crt" 2> /dev/null
done
