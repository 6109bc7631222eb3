# class: controls
# task: S
# expect: PASS
# tries: nothing; ends by exit without a code, from a function
import sys


def main():
    print(2 * int(input()))
    sys.exit()


main()
print("not reached")
