# class: controls
# task: S
# expect: PASS
# tries: nothing; runs only as the main module
import sys


def main():
    assert sys.argv[1:] == []
    print(2 * int(input()))


if __name__ == "__main__":
    main()
