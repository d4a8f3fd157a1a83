#!/bin/sh
# A process that tells its environment and then only lives: the test speaks the Runtime API in its place.
env
echo that is all
exec sleep 600
